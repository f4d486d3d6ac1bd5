//! What an idle session costs in resident memory: fresh, and after its read and write sides have been used by
//! heart-beats. On a Herald of its own, so that the other measurement meets no worn memory.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::load::Audience;
use crate::process::{Server, herald_binary};
use crate::session::{client_frame, open};
use crate::{Options, Outcome};

/// Long enough for the last buffers of the logins to be freed.
const SETTLE: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_secs(1);

/// Bytes.
pub struct Memory {
    /// The process with one session of each user gone again: code, runtime, password hashing.
    pub base_bytes: u64,
    /// A session's share, after login and SUBSCRIBE.
    pub fresh_bytes: f64,
    /// A session's share, after the heart-beats.
    pub used_bytes: f64,
}

/// Measures it.
pub fn measure(options: &Options) -> Outcome<Memory> {
    let herald = Server::herald(
        &herald_binary(options.herald.as_ref())?,
        &[
            ("HERALD_HEARTBEAT__SEND", "1s"),
            ("HERALD_HEARTBEAT__RECEIVE", "1s"),
        ],
    )?;
    for number in 0..10 {
        open(herald.address, number, "1000,1000")?;
    }
    sleep(SETTLE);
    let base_bytes = herald.rss_bytes()?;
    let share = |bytes: u64| (bytes as f64 - base_bytes as f64) / options.sessions as f64;

    // Beats begin before the last session is open, or the first would be reaped as silent.
    let beat = client_frame(b"\n");
    let mut groups: Vec<Audience> = Vec::new();
    let mut next = Instant::now() + BEAT;
    let mut opened = 0;
    while opened < options.sessions {
        let upto = (opened + 100).min(options.sessions);
        let mut sockets = Vec::with_capacity(upto - opened);
        for number in opened..upto {
            sockets.push(open(herald.address, number, "1000,1000")?.0);
        }
        opened = upto;
        let trigger = crate::session::connect(herald.address, 0)?;
        groups.push(Audience::new(sockets, trigger, true)?);
        if Instant::now() >= next {
            beat_all(&mut groups, &beat)?;
            next = Instant::now() + BEAT;
        }
    }
    let mut fresh_bytes = 0.0;
    let settled = Instant::now() + SETTLE;
    let end = settled + Duration::from_secs(options.beat_seconds);
    while Instant::now() < end {
        sleep(next.saturating_duration_since(Instant::now()));
        next += BEAT;
        beat_all(&mut groups, &beat)?;
        if fresh_bytes == 0.0 && Instant::now() >= settled {
            fresh_bytes = share(herald.rss_bytes()?);
        }
    }
    Ok(Memory {
        base_bytes,
        fresh_bytes,
        used_bytes: share(herald.rss_bytes()?),
    })
}

fn beat_all(groups: &mut [Audience], beat: &[u8]) -> Outcome<()> {
    groups.iter_mut().try_for_each(|group| group.beat(beat))
}
