//! The promise: a notification that comes alone is delivered by its sender: order, and nothing left behind.

use std::sync::Weak;

use super::*;
use crate::delivery::outbox::Written;

const PUBLISHERS: usize = 4;
const EACH: usize = 500;

/// Remembers the thread and the last word of each write.
#[derive(Default)]
struct Writes(Mutex<Vec<(std::thread::ThreadId, String)>>);

impl TryWrite for Writes {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let frames = text.split('\0').filter_map(|frame| frame.rsplit('\n').next());
        let words = frames.filter(|word| word.contains('#')).map(str::to_owned);
        let thread = std::thread::current().id();
        self.0.lock().extend(words.map(|word| (thread, word)));
        Ok(Written::taken(bytes.len()))
    }
}

impl Writes {
    async fn until(&self, count: usize) -> Vec<(std::thread::ThreadId, String)> {
        let arrived = async {
            while self.0.lock().len() < count {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        let waited = tokio::time::timeout(limit, arrived).await;
        assert!(waited.is_ok(), "{} of {count}", self.0.lock().len());
        std::mem::take(&mut *self.0.lock())
    }
}

fn of_user() -> Target {
    Target::User {
        user: UserName::parse("alice").unwrap(),
        path: Path::parse("/queue/a").unwrap(),
    }
}

fn of_all() -> Target {
    Target::Broadcast(Path::parse("/topic/a").unwrap())
}

async fn alice(socket: Arc<dyn TryWrite>) -> (Registry, Arc<Outbox>) {
    alice_behind(crate::delivery::Config::default().mailbox, socket).await
}

/// A registry whose mailbox has room for `mailbox` commands, with one session of alice's, subscribed to both.
async fn alice_behind(mailbox: usize, socket: Arc<dyn TryWrite>) -> (Registry, Arc<Outbox>) {
    let config = crate::delivery::Config { shards: 1, mailbox };
    let registry = registry_of(&config, 1 << 20, Arc::new(()));
    let session = registry.session();
    let outbox = registry.outbox(socket);
    session.join(Box::new(join_of("alice", outbox.clone()))).await;
    for (number, target) in [(0, of_user()), (1, of_all())] {
        let subscription = Subscription {
            number,
            id: Some(number.to_string().into()),
            target,
            ack: crate::delivery::wire::AckMode::Auto,
            prefetch: 1,
        };
        session.subscribe(Box::new(subscription), None).await;
    }
    let name = UserName::parse("alice").unwrap();
    assert_eq!(registry.sessions_of(&name).await.len(), 1);
    (registry, outbox)
}

#[tokio::test]
async fn only_little_work_is_done_in_place() {
    let writes = Arc::new(Writes::default());
    let (registry, _outbox) = alice(writes.clone()).await;
    let here = std::thread::current().id();
    // The shard's thread may be about to fall asleep: not each time, but it must not be never.
    let mut own = 0;
    for number in 0..200 {
        let body = format!("#{number}");
        registry
            .deliver_alone(Envelope::new(of_user(), body.clone()))
            .await;
        let [(thread, word)] = &writes.until(1).await[..] else {
            panic!("one notification, one write");
        };
        assert_eq!(*word, body);
        own += usize::from(*thread == here);
    }
    assert!(own > 0);
    for target in [of_all(), of_user()] {
        let is_alone = target == of_all();
        for _ in 0..50 {
            let envelope = Envelope::new(target.clone(), "#");
            match is_alone {
                true => registry.deliver_alone(envelope).await,
                false => registry.deliver(envelope).await,
            };
            assert_ne!(writes.until(1).await[0].0, here, "{target:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_publishers_order_holds_whoever_delivers() {
    order_holds(1_024).await;
}

/// Who waits for room wakes the shard when it has it, and not the clock's next tick.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_publishers_order_holds_in_a_full_mailbox() {
    order_holds(1).await;
}

async fn order_holds(mailbox: usize) {
    let writes = Arc::new(Writes::default());
    let (registry, _outbox) = alice_behind(mailbox, writes.clone()).await;
    let publish = |publisher: usize| {
        let registry = registry.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let target = if number.is_multiple_of(3) {
                    of_all()
                } else {
                    of_user()
                };
                let envelope = Envelope::new(target, format!("{publisher}#{number}"));
                match number % 2 {
                    0 => registry.deliver(envelope).await,
                    _ => registry.deliver_alone(envelope).await,
                };
            }
        })
    };
    let publishers: Vec<_> = (0..PUBLISHERS).map(publish).collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let written = writes.until(PUBLISHERS * EACH).await;
    let mut next = [[0; 2]; PUBLISHERS];
    for (_, word) in &written {
        let (publisher, number) = word.split_once('#').unwrap();
        let number: usize = number.parse().unwrap();
        // Two destinations have no order between them, since neighbours of one leave together.
        let last = &mut next[publisher.parse::<usize>().unwrap()][usize::from(number.is_multiple_of(3))];
        assert!(number >= *last, "{word} behind {last}");
        *last = number + 1;
    }
    assert_eq!(written.len(), PUBLISHERS * EACH);
}

struct Broken;

impl TryWrite for Broken {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        assert!(chunks.iter().all(|chunk| !chunk.ends_with(b"#\0")), "a fault");
        Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

/// Whichever thread a fault of Herald's own strikes, the instance learns of it.
#[tokio::test]
async fn a_fault_closes_the_shard() {
    let (registry, _outbox) = alice(Arc::new(Broken)).await;
    let failed = tokio::time::timeout(Duration::from_secs(10), registry.failed());
    let publisher = registry.clone();
    let published = tokio::spawn(async move {
        publisher.deliver_alone(Envelope::new(of_user(), "#")).await;
    });
    let _ = published.await;
    failed.await.unwrap();
}

#[tokio::test]
async fn the_last_handle_ends_the_thread() {
    let socket = Arc::new(Writes::default());
    let seen: Weak<Writes> = Arc::downgrade(&socket);
    let (registry, outbox) = alice(socket).await;
    drop((registry, outbox));
    let gone = async {
        while seen.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}
