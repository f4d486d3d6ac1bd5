//! The promise of requests and their replies: each reply finds its request, and nothing is left behind.

use bytes::Bytes;

use super::*;

fn requests() -> Arc<Requests> {
    Requests::new(&Subjects::new(&"herald".parse().unwrap()))
}

const LONG: Duration = Duration::from_secs(5);

fn message(subject: String, status: Option<StatusCode>) -> Message {
    Message {
        subject: subject.into(),
        reply: None,
        payload: Bytes::from_static(b"answer"),
        headers: None,
        status,
        description: None,
        length: 0,
    }
}

#[tokio::test]
async fn a_reply_finds_its_request() {
    let requests = requests();
    let (first, second) = (requests.open().unwrap(), requests.open().unwrap());
    requests.deliver(
        message(second.subject(), Some(StatusCode::NO_RESPONDERS)),
        |_| unreachable!(),
    );
    requests.deliver(message(first.subject(), None), |_| unreachable!());
    assert_eq!(second.wait(LONG).await.unwrap_err(), RequestError::NoResponders);
    assert_eq!(first.wait(LONG).await.unwrap().payload, "answer");
}

#[tokio::test]
async fn a_refused_answer_does_not_end_the_wait_for_the_true_one() {
    let requests = requests();
    let asked = requests.open_to_instance().unwrap();
    let answer = |payload| Message {
        payload: Bytes::from_static(payload),
        ..message(asked.subject(), None)
    };
    requests.deliver(answer(b"forged"), |_| false);
    requests.deliver(answer(b"true"), |_| true);
    assert_eq!(asked.wait(LONG).await.unwrap().payload, "true");
    let unheard = requests.open_to_instance().unwrap();
    requests.deliver(
        message(unheard.subject(), Some(StatusCode::NO_RESPONDERS)),
        |_| false,
    );
    assert_eq!(unheard.wait(LONG).await.unwrap_err(), RequestError::NoResponders);
}

#[tokio::test]
async fn a_change_of_inbox_loses_no_reply() {
    let requests = requests();
    let first = requests.open().unwrap();
    let before = first.subject();
    requests.use_inbox(Inbox::Common);
    let second = requests.open().unwrap();
    assert!(before.starts_with("herald.reply.") && second.subject().starts_with("_INBOX."));
    requests.deliver(message(before, None), |_| unreachable!());
    requests.deliver(message(second.subject(), None), |_| unreachable!());
    assert!(first.wait(LONG).await.is_ok() && second.wait(LONG).await.is_ok());
}

#[tokio::test]
async fn a_lost_connection_ends_every_wait() {
    let requests = requests();
    let waiting = requests.open().unwrap();
    requests.fail_all();
    assert_eq!(waiting.wait(LONG).await.unwrap_err(), RequestError::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind() {
    let requests = requests();
    let late = requests.open().unwrap();
    let subject = late.subject();
    assert_eq!(late.wait(LONG).await.unwrap_err(), RequestError::Timeout);
    drop(requests.open());
    assert!(requests.waiting.lock().is_empty());
    requests.deliver(message(subject, None), |_| unreachable!());
    requests.deliver(message("elsewhere".into(), None), |_| unreachable!());
    requests.deliver(message(format!("{}x", requests.own), None), |_| unreachable!());
}

#[tokio::test]
async fn many_replies_come_in_order_until_the_request_is_dropped() {
    let requests = requests();
    let mut many = requests.open_for_many(3).unwrap();
    let subject = many.subject();
    for status in [None, Some(StatusCode::TIMEOUT), Some(StatusCode::NO_RESPONDERS)] {
        requests.deliver(message(subject.clone(), status), |_| unreachable!());
    }
    assert_eq!(many.next().await.unwrap().status, None);
    assert_eq!(many.next().await.unwrap().status, Some(StatusCode::TIMEOUT));
    assert_eq!(many.next().await.unwrap().status, Some(StatusCode::NO_RESPONDERS));
    drop(many);
    assert!(requests.waiting.lock().is_empty());
    requests.deliver(message(subject, None), |_| unreachable!());
}

#[tokio::test]
async fn replies_that_nobody_reads_end_the_request() {
    let requests = requests();
    let mut many = requests.open_for_many(2).unwrap();
    for _ in 0..3 {
        requests.deliver(message(many.subject(), None), |_| unreachable!());
    }
    assert!(requests.waiting.lock().is_empty());
    assert!(many.next().await.is_ok() && many.next().await.is_ok());
    assert_eq!(many.next().await.unwrap_err(), RequestError::Unavailable);
    let mut lost = requests.open_for_many(2).unwrap();
    requests.fail_all();
    assert_eq!(lost.next().await.unwrap_err(), RequestError::Unavailable);
}

#[test]
fn a_subject_of_its_own_is_no_reply() {
    let requests = requests();
    let live = requests.own_subject("live");
    assert!(live.starts_with(&requests.own) && live.ends_with(".live"));
    assert_eq!(
        live.split('.').count(),
        requests.wildcard().split('.').count() + 1
    );
    requests.use_inbox(Inbox::Common);
    assert!(requests.own_subject("live").starts_with(&requests.common));
}

#[test]
fn requests_in_flight_are_bounded() {
    let requests = requests();
    let held: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| requests.open().unwrap()).collect();
    assert!(requests.open().is_none());
    drop(held);
    assert!(requests.open().is_some());
}
