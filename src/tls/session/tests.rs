//! The promise: the same bytes come out however the ciphertext is cut, and whatever a client sends, nothing panics and
//! nothing grows.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;
use crate::tls::server::{self, InForce, Pair};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/nats_tls");

fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FILES}/{name}")).unwrap()
}

fn server_config() -> Arc<ServerConfig> {
    let pair = Pair::from_pem(&read("server.pem"), &read("server-key.pem"), SystemTime::now()).unwrap();
    Arc::new(server::config(InForce::new(pair), false, None).unwrap())
}

fn client(versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(&read("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// A session and its client; what the server sends is with the client at once.
struct Both {
    session: Session,
    client: ClientConnection,
    /// The plaintext that the session got.
    got: Vec<u8>,
}

impl Both {
    fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let mut both = Self {
            session: Session::new(server_config()).unwrap(),
            client: client(versions),
            got: Vec::new(),
        };
        while both.client.is_handshaking() || both.session.is_handshaking() {
            both.deliver(usize::MAX).unwrap();
        }
        both
    }

    /// What the client has to send.
    fn sent(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sent).unwrap();
        }
        sent
    }

    /// Delivers it, in pieces of `piece` bytes.
    fn deliver(&mut self, piece: usize) -> io::Result<Received> {
        let sent = self.sent();
        self.deliver_bytes(&sent, piece)
    }

    fn deliver_bytes(&mut self, sent: &[u8], piece: usize) -> io::Result<Received> {
        let mut last = Received::Nothing;
        let mut rest: VecDeque<u8> = sent.iter().copied().collect();
        while !rest.is_empty() {
            let mut plain = vec![0; PLAIN_MIN_BYTES];
            let fill = |room: &mut [u8]| {
                let length = piece.min(room.len()).min(rest.len());
                room[..length].copy_from_slice(&rest.drain(..length).collect::<Vec<u8>>());
                Ok(length)
            };
            let received = self.session.receive(fill, &mut plain);
            self.answer();
            last = received?;
            assert!(self.session.held_bytes() <= HALF_MAX_BYTES);
            if let Received::Plain(bytes) = last {
                self.got.extend_from_slice(&plain[..bytes]);
            }
        }
        Ok(last)
    }

    /// What the session has to send is with the client.
    fn answer(&mut self) {
        let mut to_client = Vec::new();
        let _ = self.session.push(|bytes| {
            to_client.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        self.hear(&to_client);
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            // It may be an alert.
            let _ = self.client.process_new_packets();
        }
    }

    /// The session sends `plain`, and the kernel takes `most` of the ciphertext.
    fn send(&mut self, plain: &[u8], most: usize) {
        let mut to_client = Vec::new();
        self.session
            .encrypt(plain, |bytes| {
                let taken = &bytes[..most.min(bytes.len())];
                to_client.extend_from_slice(taken);
                match taken.len() {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    taken => Ok(taken),
                }
            })
            .unwrap();
        self.hear(&to_client);
    }

    fn heard(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let _ = self.client.reader().read_to_end(&mut heard);
        heard
    }
}

const BOTH_VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

#[test]
fn every_cut_gives_the_same_bytes() {
    for versions in BOTH_VERSIONS {
        for piece in [1, 2, 5, 17, 100, 5_000, usize::MAX] {
            let mut both = Both::new(versions);
            let said: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
            both.client.writer().write_all(&said).unwrap();
            both.deliver(piece).unwrap();
            assert!(both.got == said, "{piece}");
            assert_eq!(both.session.held_bytes(), 0, "nothing is kept");
        }
    }
}

#[test]
fn what_the_kernel_did_not_take_is_sent_first() {
    for versions in BOTH_VERSIONS {
        for most in [0, 1, 7, 100] {
            let mut both = Both::new(versions);
            let record = vec![b'x'; RECORD_BYTES];
            both.send(&record, most);
            assert!(both.session.unsent_bytes() > RECORD_BYTES - 100);
            both.answer();
            assert_eq!(both.session.unsent_bytes(), 0);
            both.send(b"y", usize::MAX);
            assert!(both.heard() == [&record[..], b"y"].concat());
        }
    }
}

#[test]
fn an_end_in_order_and_one_without_a_word() {
    for versions in BOTH_VERSIONS {
        let mut both = Both::new(versions);
        both.client.send_close_notify();
        assert_eq!(both.deliver(usize::MAX).unwrap(), Received::End);
        // The other side is still open.
        both.send(b"bye", usize::MAX);
        both.session.close();
        both.session.close();
        both.answer();
        assert_eq!(both.heard(), b"bye");
        assert!(both.client.process_new_packets().unwrap().peer_has_closed());
        assert!(both.session.encrypt(b"x", |bytes| Ok(bytes.len())).is_err());

        let mut both = Both::new(versions);
        let mut plain = vec![0; PLAIN_MIN_BYTES];
        let gone = both.session.receive(|_| Ok(0), &mut plain).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn keys_may_be_updated_by_the_client_but_not_without_end() {
    let mut both = Both::new(&[&rustls::version::TLS13]);
    for _ in 0..100 {
        both.client.refresh_traffic_keys().unwrap();
        both.client.writer().write_all(b"x").unwrap();
        both.deliver(3).unwrap();
        // The answer goes out in front of the next record.
        both.send(b"y", usize::MAX);
    }
    assert_eq!((both.got.len(), both.heard().len()), (100, 100));
    let flood = (0..1_000).find_map(|_| {
        both.client.refresh_traffic_keys().unwrap();
        both.deliver(usize::MAX).err()
    });
    let error = flood.expect("an end of patience");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("TooManyKeyUpdateRequests"), "{error}");
    assert_eq!(both.session.unsent_bytes(), 0);
}

/// The library keeps its place in half a message, and looks for it there when something is sent meanwhile.
#[test]
fn half_a_message_is_no_trouble_for_who_writes() {
    for versions in BOTH_VERSIONS {
        let mut both = Both::new(versions);
        both.client.writer().write_all(&[b'x'; 3_000]).unwrap();
        let sent = both.sent();
        for byte in sent {
            both.deliver_bytes(&[byte], 1).unwrap();
            both.send(b"y", usize::MAX);
        }
        assert_eq!((both.got.len(), both.heard().len() > 3_000), (3_000, true));
    }
}

#[test]
fn what_does_not_keep_to_tls_is_refused_and_the_client_learns_why() {
    for versions in BOTH_VERSIONS {
        let mut both = Both::new(versions);
        both.client.writer().write_all(b"hello").unwrap();
        let mut sent = both.sent();
        *sent.last_mut().unwrap() ^= 1;
        let error = both.deliver_bytes(&sent, usize::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert_eq!(both.got, b"");
        let alert = both.client.process_new_packets().unwrap_err();
        assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
        // It stays so, and does not grow.
        for _ in 0..3 {
            assert!(both.deliver_bytes(b"more of it", usize::MAX).is_err());
        }
        assert!(both.session.held_bytes() < 1_000);
    }
}

#[test]
fn any_bytes_are_survived_before_and_after_the_handshake() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..2_000 {
        let mut both = match round % 4 {
            0 => Both::new(BOTH_VERSIONS[round / 4 % 2]),
            _ => Both {
                session: Session::new(server_config_once()).unwrap(),
                client: client(BOTH_VERSIONS[round % 2]),
                got: Vec::new(),
            },
        };
        let mut bytes = both.sent();
        match round % 3 {
            0 => bytes = (0..random.usize(1..500)).map(|_| random.u8(..)).collect(),
            1 if !bytes.is_empty() => {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            _ => bytes.extend((0..random.usize(1..200)).map(|_| random.u8(..))),
        }
        // A record's head that can be right.
        if round % 5 == 0 && bytes.len() > 5 {
            bytes[..3].copy_from_slice(&[random.u8(20..24), 3, 3]);
        }
        let _ = both.deliver_bytes(&bytes, random.usize(1..100));
        assert!(both.session.held_bytes() <= HALF_MAX_BYTES + 4_096);
        if !both.session.is_handshaking() && both.session.unsent_bytes() == 0 {
            let _ = both.session.encrypt(b"x", |bytes| Ok(bytes.len()));
        }
        both.session.close();
    }
}

fn server_config_once() -> Arc<ServerConfig> {
    static ONCE: std::sync::OnceLock<Arc<ServerConfig>> = std::sync::OnceLock::new();
    Arc::clone(ONCE.get_or_init(server_config))
}
