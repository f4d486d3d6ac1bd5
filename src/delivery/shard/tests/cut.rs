//! Promise: a gap ends every subscription of its kind, held or live, at its place in the mailbox, and no other; their sessions
//! are closed afterwards and told to come back.

use super::resume::{at, keeping, stored, subscription};
use super::*;
use crate::delivery::command::Whom;
use crate::envelope::Kind;
use tokio::sync::oneshot;

#[test]
fn a_gap_ends_live_and_held_subscriptions_of_its_kind_alone() {
    let mut f = keeping();
    let [live, held, user, other] = ["a", "b", "c", "d"].map(|name| f.join(name, 1 << 20));
    let news = broadcast("/queue/x");
    let (mine, apart) = (own("c", "/queue/x"), broadcast("/topic/x"));
    for (client, target) in [(&live, &news), (&user, &mine), (&other, &apart)] {
        let command = subscribe_command(subscription(0, target), Some("r"), Some(at(1)));
        f.handle(Command::Session(client.key, command));
    }
    f.hold(&held, &news, 1);
    f.deliver([stored(&news, 2)]);
    f.handle(Command::Cut(Kind::Broadcast, at(9)));
    f.release(&held, 0, Ok(vec![stored(&news, 1)]));
    f.deliver([stored(&news, 10), stored(&mine, 2), note(&apart, "body-apart;")]);
    assert_eq!(live.pipe.count("body-"), 1, "{}", live.pipe.text());
    assert!(!held.pipe.text().contains("receipt-id"), "{}", held.pipe.text());
    assert_eq!(
        (user.pipe.count("body-2;"), other.pipe.count("body-apart;")),
        (1, 1)
    );
    // Whoever subscribes before the close begins behind the gap.
    let command = subscribe_command(subscription(1, &news), Some("again"), Some(at(1)));
    f.handle(Command::Session(live.key, command));
    assert!(
        live.pipe.text().contains("receipt-id:again\nposition:7-10\n"),
        "{}",
        live.pipe.text()
    );
    let mut left = Vec::new();
    for _ in 0..2 {
        let (sender, mut answer) = oneshot::channel();
        f.handle(Command::End(Whom::Cut(1, sender), CloseReason::HistoryGap));
        left.push(answer.try_recv().unwrap());
    }
    assert_eq!(left, [1, 0]);
    let sessions = [&live, &held, &user, &other].map(|client| f.shard.roster.slot(client.key).is_some());
    assert_eq!(sessions, [false, false, true, true]);
}
