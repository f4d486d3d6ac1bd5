//! The promise: if encoding a notification panics, only that notification is lost; its neighbours, the sessions and the
//! shard are not affected.

use super::*;
use crate::delivery::trail::Trail;
use crate::envelope::MessageId;
use crate::task::faults::POISON;

#[derive(Default)]
struct Poisoned(Mutex<Vec<MessageId>>);

impl Trail for Poisoned {
    fn poisoned(&self, id: &MessageId) {
        self.0.lock().push(id.clone());
    }
}

#[test]
fn a_poison_notification_is_dropped_alone_and_named() {
    for target in [broadcast("/queue/x"), own("alice", "/queue/x")] {
        let mut f = Fixture::new();
        let trail = Arc::new(Poisoned::default());
        f.shard.setting.trail = trail.clone();
        let client = f.join("alice", 1 << 20);
        f.subscribe(&client, 0, target.clone());
        let poison = note(&target, POISON);
        let id = poison.id.clone();
        f.deliver([note(&target, "before;"), poison.clone(), note(&target, "after;")]);
        f.deliver([poison]);
        f.deliver([note(&target, "later;")]);
        let text = client.pipe.text();
        let heard: Vec<bool> = ["before;", POISON, "after;", "later;"]
            .iter()
            .map(|body| text.contains(body))
            .collect();
        assert_eq!(heard, [true, false, true, true], "{text}");
        assert_eq!(*trail.0.lock(), [id.clone(), id]);
        assert_eq!(f.sessions(), 1);
    }
}
