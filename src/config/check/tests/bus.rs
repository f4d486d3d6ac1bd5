//! The promise: the rules of `[bus]`, `[destinations]` and `[history]`: the connection to NATS, prefixes that do not overlap, and what is
//! kept.

use super::{check, refused, taken};

#[test]
fn the_way_to_nats() {
    taken("bus.url", &["nats://a", "nats://a:4222,nats://b:4222", "a:4222"]);
    refused(
        "bus.url",
        &["http://a", "nats://", "nats://a,", "tls://u:p@a:4222"],
    );
    refused("bus.prefix", &["", "a.b", "*", "ä", "$SYS"]);
    check("bus.token = 'x'\nbus.token_file = 'x'", &["bus.token"]);
    check("bus.nkey = 'x'\nbus.nkey_file = 'x'", &["bus.nkey"]);
    check(
        "bus.user = 'x'\nbus.password = 'x'\nbus.password_file = 'x'",
        &["bus.password"],
    );
    check("bus.user = 'x'", &["bus.user"]);
    check("bus.password_file = 'x'", &["bus.password_file"]);
    check("bus.password = 'x'", &["bus.password"]);
    check("bus.token = 'x'\nbus.credentials_file = 'x'", &["bus.token"]);
    check("bus.control_unsigned = 'refuse'", &["bus.control_unsigned"]);
    check("bus.control_unsigned = 'drop'", &["bus.control_unsigned"]);
    check("bus.subscription_capacity = 0", &["bus.subscription_capacity"]);
    check("bus.embedded_capacity = 1048577", &["bus.embedded_capacity"]);
}

#[test]
fn prefixes_do_not_overlap() {
    for list in ["'/queue', '/queue/x', '/queues'", "'/queue/x', '/queue'"] {
        check(
            &format!("destinations.broadcast_prefixes = [{list}]"),
            &["destinations.broadcast_prefixes[1]"],
        );
    }
    check(
        "destinations.broadcast_prefixes = ['/queue', '/topic', '/topic']",
        &["destinations.broadcast_prefixes[2]"],
    );
    check(
        "destinations.application_prefixes = ['/chat', '/app', '/topic/app']",
        &["destinations.application_prefixes[2]"],
    );
    check("destinations.user_prefix = '/app'", &["destinations.user_prefix"]);
    check(
        "presence.list_destination = '/app/x'",
        &["presence.list_destination"],
    );
    check("presence.list_destination = ''", &[]);
}

/// History: what cannot be kept, and what could never be replayed.
#[test]
fn history_keeps_what_there_is() {
    const NATS: &str = "bus.url = \"nats://127.0.0.1:4222\"\n";
    check(&format!("{NATS}history.enabled = true"), &[]);
    check(
        &format!("{NATS}history.enabled = true\nhistory.user = false\nhistory.broadcast = []"),
        &["history.enabled"],
    );
    check("history.storage = \"memory\"", &["history.storage"]);
    check("history.index_bytes = \"1MiB\"", &["history.index_bytes"]);
    check(&format!("{NATS}history.index_bytes = \"0B\""), &[]);
    check("history.path = \"history\"\nhistory.user_age = \"7h\"", &[]);
    check(&format!("{NATS}history.path = \"history\""), &["history.path"]);
    check(
        "history.path = \"history\"\nhistory.replicas = 3",
        &["history.replicas"],
    );
    for (key, bad) in [
        ("history.user_age", "\"0s\""),
        ("history.user_bytes", "\"1KiB\""),
        ("history.reads", "0"),
        ("history.index_bytes", "\"257MiB\""),
        ("history.publishes", "65537"),
        ("history.duplicate_window", "\"19s\""),
    ] {
        check(&format!("{NATS}{key} = {bad}"), &[key]);
    }
    check(&format!("{NATS}history.enabled = false"), &[]);
    check(NATS, &[]);
    check("history.enabled = true", &[]);
    check("history.broadcast = []", &[]);
    check("history.broadcast = [\"/topic\"]", &[]);
    check("history.broadcast = [\"/elsewhere\"]", &["history.broadcast[0]"]);
    check(
        "history.broadcast = [\"/queue\", \"/queue\"]",
        &["history.broadcast[1]"],
    );
    for (key, bad) in [
        ("history.tail_bytes", "\"1KiB\""),
        ("history.duplicate_window", "\"999ms\""),
        ("history.duplicate_window", "\"25h\""),
        ("history.keys", "0"),
        ("history.keys", "1000001"),
        ("history.replay_messages", "0"),
        ("history.replay_messages", "100001"),
        ("history.replay_bytes", "\"0B\""),
        ("history.replay_bytes", "\"1GiB\""),
    ] {
        check(&format!("{key} = {bad}"), &[key]);
    }
}
