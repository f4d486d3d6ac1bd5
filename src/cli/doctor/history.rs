//! Judges whether JetStream has what history needs: whether it is enabled, whether the streams exist and fit, on enough
//! servers, with room, and whether this user may use all of it. Knows no connection.

use super::Line;
use crate::bus::nats::{Account, Found, ProbedHistory, ProbedStream, StreamState};
use crate::config::Config;
use crate::setting::ByteSize;

/// From this share of its bytes on a stream counts as full, in percent.
const FULL_PERCENT: u64 = 90;
const PERMISSIONS: &str = "docs/nats.md, Permissions";

/// The lines about JetStream.
pub(super) fn judge(history: &ProbedHistory, config: &Config) -> Vec<Line> {
    let mut lines = vec![jetstream(history)];
    lines.extend(history.streams.iter().map(|stream| judge_stream(stream, config)));
    lines.push(replicas(history, config));
    lines.push(storage(history, config));
    lines.push(Line::unseen(
        "sync_interval",
        "not seen: only NATS's own configuration has it. By default acknowledged notifications may be gone after a loss of power, \
         where all replicas lose it; sync_interval: always keeps them",
    ));
    lines.push(rights(history));
    lines
}

fn jetstream(history: &ProbedHistory) -> Line {
    let is_answered = |stream: &ProbedStream| !matches!(stream.state, StreamState::Unknown(_));
    match history.is_on {
        Some(false) => Line::fail(
            "JetStream",
            "off for this user's account, and history needs it",
            "switch it on in NATS's configuration (jetstream {}, and in the account), or set history.enabled = false",
        ),
        None if !history.streams.iter().any(is_answered) => {
            Line::unseen("JetStream", "not seen: it does not answer this user")
        }
        _ => Line::ok("JetStream", "on"),
    }
}

fn judge_stream(stream: &ProbedStream, config: &Config) -> Line {
    const NAME: &str = "stream";
    let (name, manage) = (&stream.name, config.history.manage);
    let found = match &stream.state {
        StreamState::Unknown(words) => {
            return Line::fail(
                NAME,
                format!("{name} cannot be asked: {words}"),
                format!(
                    "without it, an instance does not become ready. Is JetStream on, does it have a leader, and may this user ask ({PERMISSIONS})?"
                ),
            );
        }
        StreamState::Missing if manage => {
            return Line::ok(NAME, format!("{name} is not there yet: an instance makes it"));
        }
        StreamState::Missing => {
            return Line::fail(
                NAME,
                format!("{name} is not there, and history.manage is false"),
                "make it as an instance with history.manage = true would (docs/history.md), or set that",
            );
        }
        StreamState::There(found) => found,
    };
    let words = || [found.not_ready.as_slice(), &found.drift].concat().join("; ");
    if !found.not_ready.is_empty() && (!manage || found.is_fixed) {
        return Line::fail(
            NAME,
            words(),
            "no instance gets ready with it: change it, or move it away and have it made anew",
        );
    }
    if !found.not_ready.is_empty() || !found.drift.is_empty() {
        let advice = match manage {
            true => "an instance changes it at its start, where NATS lets it",
            false => "change the stream, or the settings of [history]",
        };
        return Line::warn(NAME, words(), advice);
    }
    filling(name, found)
}

fn filling(name: &str, found: &Found) -> Line {
    let Found { messages, bytes, .. } = found;
    let holds = format!("{name} fits, and holds {messages} messages in {}", size(*bytes));
    match found.bytes_max {
        Some(most) if bytes.saturating_mul(100) >= most.saturating_mul(FULL_PERCENT) => Line::warn(
            "stream",
            format!("{holds} of {}: it is full, and what is older is gone", size(most)),
            "give it more bytes in [history], or be content with a history that is shorter than its age",
        ),
        Some(most) => Line::ok("stream", format!("{holds} of {}", size(most))),
        None => Line::ok("stream", holds),
    }
}

fn replicas(history: &ProbedHistory, config: &Config) -> Line {
    const NAME: &str = "replicas";
    let wanted = u64::from(u8::from(config.history.replicas));
    let there = || {
        history.streams.iter().filter_map(|stream| match &stream.state {
            StreamState::There(found) => Some((&stream.name, found)),
            _ => None,
        })
    };
    let behind: Vec<String> = there()
        .filter(|(_, found)| !found.behind.is_empty())
        .map(|(name, found)| format!("{name} on {}", found.behind.join(", ")))
        .collect();
    if !behind.is_empty() {
        return Line::warn(
            NAME,
            format!("gone or behind: {}", behind.join("; ")),
            "look whether those servers of NATS run, and wait until they have caught up",
        );
    }
    let fewest = there().map(|(_, found)| found.replicas).min();
    match (&history.cluster, fewest.unwrap_or(wanted).min(wanted)) {
        (Some(cluster), 1) => Line::warn(
            NAME,
            format!(
                "1, in the cluster {cluster}: history is gone for as long as the one server is that has it"
            ),
            "set history.replicas = 3, with three servers or more",
        ),
        (Some(cluster), found) => Line::ok(NAME, format!("{found}, in the cluster {cluster}")),
        (None, _) if wanted > 1 => Line::fail(
            NAME,
            format!("history.replicas is {wanted}, and this server of NATS stands alone"),
            "set history.replicas = 1, or make a cluster of it",
        ),
        (None, _) => Line::ok(NAME, "1, on a server that stands alone"),
    }
}

fn storage(history: &ProbedHistory, config: &Config) -> Line {
    const NAME: &str = "storage";
    let missing = history
        .streams
        .iter()
        .filter(|stream| stream.state == StreamState::Missing && config.history.manage);
    let needed: u64 = missing.map(|stream| stream.bytes_max).sum();
    let more = match needed {
        0 => String::new(),
        needed => format!("; {} more are to be reserved on each replica", size(needed)),
    };
    match history.account {
        None => Line::unseen(
            NAME,
            format!("not seen: this user may not ask about its account{more}"),
        ),
        Some(Account { taken, limit: None }) => Line::ok(
            NAME,
            format!(
                "{} taken; the account has no limit, and that of the servers is not seen{more}",
                size(taken)
            ),
        ),
        Some(Account {
            taken,
            limit: Some(limit),
        }) => {
            let words = format!("{} taken of the account's {}{more}", size(taken), size(limit));
            match needed <= limit.saturating_sub(taken) {
                true => Line::ok(NAME, words),
                false => Line::fail(
                    NAME,
                    words,
                    "give the account more, or lower history.broadcast_bytes and history.user_bytes",
                ),
            }
        }
    }
}

fn rights(history: &ProbedHistory) -> Line {
    const NAME: &str = "history rights";
    if !history.refused.is_empty() {
        return Line::fail(
            NAME,
            format!("this user may not publish to {}", history.refused.join(", ")),
            format!("grant it: {PERMISSIONS}"),
        );
    }
    if !history.refused_rarely.is_empty() {
        return Line::warn(
            NAME,
            format!(
                "this user may not publish to {}, which is needed after a stream was rolled back",
                history.refused_rarely.join(", ")
            ),
            format!(
                "grant it, or raise herald.generation in the stream's metadata by hand then: {PERMISSIONS}"
            ),
        );
    }
    Line::ok(NAME, "this user may ask JetStream for all that history needs")
}

fn size(bytes: u64) -> String {
    // An exact count of bytes is hard to read from some MiB on.
    let rounded = match bytes {
        0..=0xf_ffff => bytes,
        _ => bytes >> 20 << 20,
    };
    usize::try_from(rounded).map_or_else(|_| rounded.to_string(), |bytes| ByteSize(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Status::{Fail, Ok, Unseen, Warn};
    use super::*;

    fn found() -> Found {
        Found {
            messages: 3,
            bytes: 1_000,
            bytes_max: Some(1 << 30),
            replicas: 1,
            ..Found::default()
        }
    }

    fn history(state: StreamState) -> ProbedHistory {
        ProbedHistory {
            is_on: Some(true),
            cluster: None,
            account: Some(Account {
                taken: 0,
                limit: None,
            }),
            streams: vec![ProbedStream {
                name: "HERALD_USER".into(),
                bytes_max: 1 << 30,
                state,
            }],
            refused: Vec::new(),
            refused_rarely: Vec::new(),
        }
    }

    /// The status of the line with this name, and that it says these words.
    #[track_caller]
    fn says(history: &ProbedHistory, change: &str, name: &str, status: super::super::Status, words: &str) {
        let mut config = Config::default();
        match change {
            "manage" => config.history.manage = false,
            "replicas" => config.history.replicas = 3.try_into().unwrap(),
            _ => {}
        }
        let lines = judge(history, &config);
        let line = lines.iter().find(|line| line.check == name).unwrap();
        assert!(line.status == status && line.detail.contains(words), "{line:?}");
    }

    #[test]
    fn a_stream_is_judged_by_what_an_instance_would_do() {
        let with = |change: fn(&mut Found)| {
            let mut found = found();
            change(&mut found);
            history(StreamState::There(found))
        };
        says(&with(|_| {}), "", "stream", Ok, "HERALD_USER fits");
        says(&with(|found| found.bytes = 1 << 30), "", "stream", Warn, "full");
        let drift = with(|found| found.drift.push("has max_age 1".into()));
        says(&drift, "", "stream", Warn, "max_age");
        let unfit = with(|found| found.not_ready.push("has allow_direct false".into()));
        says(&unfit, "", "stream", Warn, "allow_direct");
        says(&unfit, "manage", "stream", Fail, "allow_direct");
        let fixed = with(|found| {
            found.not_ready.push("has storage memory".into());
            found.is_fixed = true;
        });
        says(&fixed, "", "stream", Fail, "storage");
        says(
            &history(StreamState::Missing),
            "",
            "stream",
            Ok,
            "an instance makes it",
        );
        says(&history(StreamState::Missing), "manage", "stream", Fail, "manage");
        let silent = history(StreamState::Unknown("silent".into()));
        says(&silent, "", "stream", Fail, "silent");
    }

    #[test]
    fn replicas_are_held_against_the_servers() {
        let mut probed = history(StreamState::There(found()));
        says(&probed, "", "replicas", Ok, "alone");
        says(&probed, "replicas", "replicas", Fail, "alone");
        probed.cluster = Some("c".into());
        says(&probed, "", "replicas", Warn, "cluster c");
        // What the stream has counts, not what is wished for.
        says(&probed, "replicas", "replicas", Warn, "cluster c");
        let three = Found {
            replicas: 3,
            ..found()
        };
        probed.streams[0].state = StreamState::There(three.clone());
        says(&probed, "replicas", "replicas", Ok, "3, in the cluster c");
        let behind = vec!["n3".into()];
        probed.streams[0].state = StreamState::There(Found { behind, ..three });
        says(&probed, "replicas", "replicas", Warn, "HERALD_USER on n3");
    }

    #[test]
    fn room_is_held_against_what_has_yet_to_be_reserved() {
        let mut probed = history(StreamState::Missing);
        says(&probed, "", "storage", Ok, "1GiB more");
        let mut of = |limit| {
            probed.account = limit;
            probed.clone()
        };
        let limited = |limit| {
            Some(Account {
                taken: 1 << 20,
                limit: Some(limit),
            })
        };
        says(
            &of(limited(2 << 30)),
            "",
            "storage",
            Ok,
            "1MiB taken of the account's 2GiB",
        );
        says(&of(limited(1 << 30)), "", "storage", Fail, "1GiB more");
        says(&of(None), "", "storage", Unseen, "may not ask");
    }

    #[test]
    fn what_is_not_permitted_and_what_is_off_is_said() {
        let mut probed = history(StreamState::There(found()));
        says(&probed, "", "history rights", Ok, "all that history needs");
        says(&probed, "", "JetStream", Ok, "on");
        says(&probed, "", "sync_interval", Unseen, "not seen");
        probed.refused_rarely = vec!["$JS.API.STREAM.UPDATE.HERALD_USER".into()];
        says(&probed, "manage", "history rights", Warn, "rolled back");
        probed.refused = vec!["$JS.FC.>".into()];
        says(&probed, "", "history rights", Fail, "$JS.FC.>");
        probed.is_on = Some(false);
        says(&probed, "", "JetStream", Fail, "off");
        probed.is_on = None;
        says(&probed, "", "JetStream", Ok, "on");
        let silent = ProbedHistory {
            is_on: None,
            ..history(StreamState::Unknown("silent".into()))
        };
        says(&silent, "", "JetStream", Unseen, "not seen");
    }
}
