//! The promise to the client, and how a breach is detected: from everything published, and everything that the client
//! read.

use super::world::{
    Checked, Client, Driver, Frame, FrameKind, How, MESSAGES, Record, Run, State, Subscribed,
};

type Records = [Record; MESSAGES + 1];

/// Whether message `id` is promised to the client since its subscription began.
fn is_due(client: &Client, id: u8, record: &Record) -> bool {
    record.is_behind(client.life, client.s) && (id > client.published || record.s > client.s)
}

/// Whether the client has everything that is due up to this position, but for message `but`.
fn covered(client: &Client, records: &Records, published: u8, frame: &Frame, but: u8, what: &str) -> Checked {
    for id in 1..=published {
        let record = &records[id as usize];
        let is_missing = record.to_a && !record.is_rolled_back && id != but && client.has & (1 << id) == 0;
        if is_missing && is_due(client, id, record) && !record.is_behind(frame.pos.life, frame.pos.s) {
            let (e, s) = (frame.pos.e, frame.pos.s);
            return Err(format!(
                "HOLE: {what} {e}-{s}, but message {id} was never received"
            ));
        }
    }
    Ok(())
}

/// Whether the client has, since its subscription began, what was rolled back before `record` was stored in its place, or the
/// other way round.
fn is_mixed(client: &Client, records: &Records, published: u8, record: &Record) -> bool {
    let is_other = |one: &Record, other: &Record| {
        one.is_rolled_back && one.life / 8 == other.life / 8 && other.life > one.life
    };
    (1..=published).any(|id| {
        let known = &records[id as usize];
        let has = client.has & (1 << id) != 0;
        let began_behind = known.life == client.life && known.s <= client.s;
        ((has || began_behind) && is_other(known, record)) || (has && is_other(record, known))
    })
}

/// The client reads `frames` of a connection.
pub(super) fn read<'a>(
    client: &Client,
    published_before: u8,
    frames: impl Iterator<Item = &'a Frame>,
    records: &Records,
    published: u8,
    run: &Run,
) -> Result<Client, String> {
    let mut client = *client;
    for (index, frame) in frames.enumerate() {
        if index == 0 && frame.kind != FrameKind::Receipt {
            return Err("ORDER: a MESSAGE before the RECEIPT".into());
        }
        match frame.kind {
            FrameKind::Receipt if frame.how == How::Recovered => {
                client.position = Some(frame.pos);
                if run.is_strict {
                    covered(
                        &client,
                        records,
                        published,
                        frame,
                        0,
                        "RECEIPT recovered:true says",
                    )?;
                }
            }
            FrameKind::Receipt => {
                client = Client {
                    position: Some(frame.pos),
                    life: frame.pos.life,
                    s: frame.pos.s,
                    published: published_before,
                    has: 0,
                    last: 0,
                };
            }
            FrameKind::Message => {
                let id = frame.id;
                let record = &records[id as usize];
                if client.has & (1 << id) != 0 {
                    return Err(format!("TWICE: message {id} delivered again"));
                }
                if !record.to_a {
                    return Err(format!("ANOTHER'S: message {id} was not for the client"));
                }
                if run.is_whole && is_mixed(&client, records, published, record) {
                    return Err(format!(
                        "MIXED: message {id} beside what was rolled back, without a word"
                    ));
                }
                if id < client.last && (run.is_strict || !record.is_rolled_back) {
                    return Err(format!("ORDER: message {id} behind {}", client.last));
                }
                if !is_due(&client, id, record) {
                    return Err(format!(
                        "TWICE: message {id} is not behind the position at which the subscription began"
                    ));
                }
                if run.is_strict {
                    covered(
                        &client,
                        records,
                        published,
                        frame,
                        id,
                        "a message is delivered at",
                    )?;
                }
                client.has |= 1 << id;
                client.last = client.last.max(id);
                client.position = Some(frame.pos);
            }
            FrameKind::Local => {
                client.position = Some(frame.pos);
                if run.is_strict {
                    covered(&client, records, published, frame, 0, "a local answer says")?;
                }
            }
        }
    }
    Ok(client)
}

impl State {
    /// The client reads the first `count` frames of its connection.
    pub(super) fn client_reads(&self, count: usize, run: &Run) -> Result<Client, String> {
        let frames = self.session.sent.iter().take(count);
        read(
            &self.client,
            self.session.published,
            frames,
            &self.records,
            self.published,
            run,
        )
    }

    /// The shard writes a frame.
    pub(super) fn say(&mut self, frame: Frame, run: &Run) -> Checked {
        self.session.sent.push(frame);
        self.client_reads(self.session.sent.len(), run).map(drop)
    }

    /// Nothing more happens by itself: is all well?
    pub(super) fn at_rest(&self, run: &Run) -> Checked {
        let session = &self.session;
        if session.on.is_none() || session.driver != Driver::Done || session.subscribed != Subscribed::Live {
            return Err(format!(
                "STUCK: the client is not served (driver {:?}, subscription {:?})",
                session.driver, session.subscribed
            ));
        }
        let client = self.client_reads(session.sent.len(), run)?;
        for id in 1..=self.published {
            let record = &self.records[id as usize];
            let is_missing = record.to_a && !record.is_rolled_back && client.has & (1 << id) == 0;
            if is_missing && is_due(&client, id, record) {
                return Err(format!(
                    "SILENT HOLE: all is quiet, and message {id} was never received nor its loss said"
                ));
            }
        }
        Ok(())
    }
}
