//! One connection to NATS, over its text protocol: as fast as possible; it only counts what it reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;

/// No answer takes longer, with an election in between.
const PATIENCE: Duration = Duration::from_secs(20);
/// Publishes between two that ask for an acknowledgement.
const BETWEEN: usize = 1_000;

/// The connection.
pub struct Wire {
    write: TcpStream,
    read: BufReader<TcpStream>,
    subscriptions: usize,
    /// Messages that came and that nobody asked for one by one, if they have the word of [`Wire::watch`].
    pub seen: u64,
    word: &'static [u8],
}

/// What came.
enum Came {
    Message(Vec<u8>),
    Pong,
}

impl Wire {
    /// Connects, as nobody in particular.
    pub fn connect(to: SocketAddr) -> Outcome<Self> {
        let write = TcpStream::connect(to)?;
        write.set_nodelay(true)?;
        write.set_read_timeout(Some(PATIENCE))?;
        let mut wire = Self {
            read: BufReader::with_capacity(256 * 1024, write.try_clone()?),
            write,
            subscriptions: 0,
            seen: 0,
            word: b"",
        };
        let hello = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;
        wire.say(&format!("CONNECT {hello}\r\n"))?;
        wire.sync()?;
        Ok(wire)
    }

    /// Subscribes; what comes is counted.
    pub fn subscribe(&mut self, subject: &str) -> Outcome<()> {
        self.subscriptions += 1;
        self.say(&format!("SUB {subject} {}\r\n", self.subscriptions))?;
        self.sync()
    }

    /// Subscribes; what comes and has this word in it is counted.
    pub fn watch(&mut self, subject: &str, word: &'static str) -> Outcome<()> {
        self.word = word.as_bytes();
        self.subscribe(subject)
    }

    /// Reads all that the server has sent by now.
    pub fn sync(&mut self) -> Outcome<()> {
        self.say("PING\r\n")?;
        loop {
            match self.next()? {
                Came::Pong => return Ok(()),
                Came::Message(message) => self.count(&message),
            }
        }
    }

    /// Reads until so many messages were seen.
    pub fn until_seen(&mut self, count: u64) -> Outcome<()> {
        while self.seen < count {
            if let Came::Message(message) = self.next()? {
                self.count(&message);
            }
        }
        Ok(())
    }

    fn count(&mut self, message: &[u8]) {
        self.seen += u64::from(memchr::memmem::find(message, self.word).is_some());
    }

    /// Reads what a stream has of a subject, up to 256 messages, as a resume does. Returns how many there were.
    pub fn read_of(&mut self, stream: &str, subject: &str) -> Outcome<usize> {
        let inbox = format!("_INBOX.bench.{}", ulid::Ulid::new());
        self.subscribe(&inbox)?;
        let question =
            serde_json::json!({"seq": 1, "next_by_subj": subject, "batch": 256, "max_bytes": 256 << 10});
        let question = question.to_string();
        self.publish(
            &format!("$JS.API.DIRECT.GET.{stream}"),
            Some(&inbox),
            question.as_bytes(),
        )?;
        let mut messages = 0;
        loop {
            match self.next()? {
                Came::Message(message) if message.starts_with(b"NATS/1.0 204") => return Ok(messages),
                Came::Message(_) => messages += 1,
                Came::Pong => {}
            }
        }
    }

    /// Asks something of JetStream.
    pub fn ask(&mut self, subject: &str, question: &str) -> Outcome<Value> {
        let inbox = format!("_INBOX.bench.{}", ulid::Ulid::new());
        self.subscribe(&inbox)?;
        self.publish(subject, Some(&inbox), question.as_bytes())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Came::Message(payload) = self.next()?
                && let Ok(answer) = serde_json::from_slice(&payload)
            {
                return Ok(answer);
            }
        }
        Err(format!("{subject}: no answer").into())
    }

    /// Publishes into a stream, `count` times the same, and waits until all is stored.
    pub fn store(&mut self, subjects: &[String], count: usize, body: &[u8]) -> Outcome<()> {
        let mut stored = 0;
        for (at, subject) in subjects.iter().cycle().take(count).enumerate() {
            if at % BETWEEN == BETWEEN - 1 || at + 1 == count {
                let ack = self.ask_raw(subject, body)?;
                if ack.get("seq").is_none() {
                    return Err(format!("not stored: {ack}").into());
                }
                stored = at + 1;
            } else {
                self.publish(subject, None, body)?;
            }
        }
        match stored == count {
            true => Ok(()),
            false => Err("not all was stored".into()),
        }
    }

    fn ask_raw(&mut self, subject: &str, body: &[u8]) -> Outcome<Value> {
        let question = String::from_utf8_lossy(body).into_owned();
        self.ask(subject, &question)
    }

    fn publish(&mut self, subject: &str, reply: Option<&str>, body: &[u8]) -> Outcome<()> {
        let reply = reply.map_or(String::new(), |reply| format!("{reply} "));
        let mut line = format!("PUB {subject} {reply}{}\r\n", body.len()).into_bytes();
        line.extend_from_slice(body);
        line.extend_from_slice(b"\r\n");
        Ok(self.write.write_all(&line)?)
    }

    fn say(&mut self, line: &str) -> Outcome<()> {
        Ok(self.write.write_all(line.as_bytes())?)
    }

    fn next(&mut self) -> Outcome<Came> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.read.read_line(&mut line)? == 0 {
                return Err("NATS closed the connection".into());
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG" | "HMSG") => {
                    let bytes: usize = words.next_back().ok_or("a MSG without a length")?.parse()?;
                    let mut payload = vec![0; bytes + 2];
                    self.read.read_exact(&mut payload)?;
                    payload.truncate(bytes);
                    return Ok(Came::Message(payload));
                }
                Some("PONG") => return Ok(Came::Pong),
                Some("PING") => self.say("PONG\r\n")?,
                Some("-ERR") => return Err(format!("NATS says {}", line.trim()).into()),
                _ => {}
            }
        }
    }
}
