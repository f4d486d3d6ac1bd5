//! The promise of a history in a file when the disk is slow, full, broken or gone, and after a crash. The promises of
//! every bus are in `tests/it/bus/history.rs`.

use super::*;
use crate::bus::embedded::disk::store::Retention;
use crate::bus::history;
use crate::destination::Path;
use crate::envelope::MessageId;
use crate::principal::UserName;

mod crashes;
mod fake;
mod faults;
mod files;

fn broadcast(body: impl Into<bytes::Bytes>) -> Envelope {
    let mut envelope = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), body);
    envelope.id = MessageId::parse("id").unwrap();
    envelope
}

fn to_user(name: &str, body: impl Into<bytes::Bytes>) -> Envelope {
    let mut envelope = broadcast(body);
    envelope.target = Target::User {
        user: UserName::parse(name).unwrap(),
        path: Path::parse("/queue/x").unwrap(),
    };
    envelope
}

fn key(text: &str) -> Key {
    Key::of([text.as_bytes()])
}
