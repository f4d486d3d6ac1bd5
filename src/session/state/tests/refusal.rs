//! The promise: a refused SUBSCRIBE or SEND tells the log its destination as the client wrote it, and no other frame does.

use super::*;

#[test]
fn a_refusal_has_the_destination_of_its_frame() {
    let mut f = fixture(Version::V1_2);
    for (frame, destination) in [
        ("SUBSCRIBE\nid:1\ndestination:/app/x\n\n", Some("/app/x")),
        (
            "SUBSCRIBE\nid:1\ndestination:nowhere\\nat all\n\n",
            Some("nowhere\nat all"),
        ),
        ("SEND\ndestination:/queue/secret\n\n", Some("/queue/secret")),
        ("SEND\n\n", None),
        ("UNSUBSCRIBE\nid:1\ndestination:/queue/x\n\n", None),
    ] {
        match f.frame(frame) {
            Ok(_) => panic!("{frame:?} was not refused"),
            Err(refusal) => assert_eq!(refusal.destination.as_deref(), destination, "{frame:?}"),
        }
    }
}
