//! The signature of a control message: what it covers, and the header that carries it. Pure: knows no key file, no
//! clock and no connection.
//!
//! The header is `Herald-Signature: v1 <Unix ms> <nonce> <MAC in base64>`. The MAC is HMAC-SHA256 over the version, the
//! subject (which states the kind and the recipient), the reply subject, the time, the nonce and the payload, each
//! preceded by its length, so that no two messages give the same bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use ulid::Ulid;

/// The name of the header. Instances older than signatures ignore it.
pub(super) const HEADER: &str = "Herald-Signature";
const VERSION: &str = "v1";
/// The maximum length of a header that is read: version, 20 digits, 26 characters of a ULID, 43 of the MAC.
const HEADER_MAX_BYTES: usize = 128;

/// What a signature covers besides time and nonce.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The subject.
    pub subject: &'a str,
    /// The reply subject; empty if no answer is expected. Covered, so that nobody can have an answer sent elsewhere.
    pub reply: &'a str,
    /// The payload.
    pub payload: &'a [u8],
}

/// A signature as in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    /// The signer's time, in Unix ms.
    pub time_ms: u64,
    nonce: Ulid,
    mac: [u8; 32],
}

/// One key.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// A key of any length. HMAC accepts every length: `None` does not occur.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// Signs at `time_ms`. Two signatures of the same message differ by their nonce.
    pub(super) fn sign(&self, message: Signed<'_>, time_ms: u64) -> Signature {
        let nonce = Ulid::new();
        let mac = self.mac(message, time_ms, nonce).finalize().into_bytes().into();
        Signature { time_ms, nonce, mac }
    }

    /// Whether this key made `signature` for this message. Takes the same time wherever they differ.
    pub(super) fn fits(&self, message: Signed<'_>, signature: &Signature) -> bool {
        let mac = self.mac(message, signature.time_ms, signature.nonce);
        mac.verify_slice(&signature.mac).is_ok()
    }

    fn mac(&self, message: Signed<'_>, time_ms: u64, nonce: Ulid) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let (time, nonce) = (time_ms.to_be_bytes(), nonce.to_bytes());
        let parts: [&[u8]; 6] = [
            VERSION.as_bytes(),
            message.subject.as_bytes(),
            message.reply.as_bytes(),
            &time,
            &nonce,
            message.payload,
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl Signature {
    /// Reads the header's value. `None` if no instance of this version writes it in this form.
    pub(super) fn read(value: &str) -> Option<Self> {
        if value.len() > HEADER_MAX_BYTES {
            return None;
        }
        let mut words = value.split(' ');
        let (version, time, nonce, mac) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if version != VERSION || words.next().is_some() {
            return None;
        }
        Some(Self {
            time_ms: time.parse().ok()?,
            nonce: Ulid::from_string(nonce).ok()?,
            mac: BASE64.decode(mac).ok()?.try_into().ok()?,
        })
    }

    /// The header's value.
    pub(super) fn write(&self) -> String {
        let Self { time_ms, nonce, mac } = self;
        format!("{VERSION} {time_ms} {nonce} {}", BASE64.encode(mac))
    }

    /// Identifies this signature: a part of the MAC, which nobody without the key can choose.
    pub(super) fn mark(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.mac;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Signed<'_> = Signed {
        subject: "herald.control.all.sessions.disconnect",
        reply: "",
        payload: b"{}",
    };

    fn key(secret: &str) -> Key {
        Key::new(secret.as_bytes()).unwrap()
    }

    /// Another instance, perhaps of a later version, computes the same: the bytes that are signed are the wire format.
    #[test]
    fn the_wire_format_stays() {
        let signature = Signature {
            time_ms: 1_764_000_000_123,
            nonce: Ulid::from_string("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap(),
            mac: [0; 32],
        };
        let key = key("0123456789abcdef0123456789abcdef");
        let mac = key.mac(MESSAGE, signature.time_ms, signature.nonce);
        let signature = Signature {
            mac: mac.finalize().into_bytes().into(),
            ..signature
        };
        assert_eq!(
            signature.write(),
            "v1 1764000000123 01ARZ3NDEKTSV4RRFFQ69G5FAV QS6nV3hWQvrQLyxsUE1AqbxNIqnHKbyP15jAd/vOvZw"
        );
        assert!(key.fits(MESSAGE, &signature));
    }

    #[test]
    fn a_signature_fits_its_message_alone() {
        let key = key("one");
        let signature = key.sign(MESSAGE, 7);
        assert_eq!(Signature::read(&signature.write()), Some(signature));
        assert!(key.fits(MESSAGE, &signature));
        assert_ne!(key.sign(MESSAGE, 7).mark(), signature.mark());
        let other = Signature {
            time_ms: 8,
            ..signature
        };
        assert!(!key.fits(MESSAGE, &other) && !self::key("two").fits(MESSAGE, &signature));
        for message in [
            Signed {
                subject: "herald.control.all.sessions.disconnec",
                payload: b"t{}",
                ..MESSAGE
            },
            Signed {
                subject: "herald.control.all.goodbye",
                ..MESSAGE
            },
            Signed {
                reply: "elsewhere",
                ..MESSAGE
            },
            Signed {
                payload: b"[]",
                ..MESSAGE
            },
        ] {
            assert!(!key.fits(message, &signature), "{message:?}");
        }
    }

    #[test]
    fn what_no_instance_writes_is_not_read() {
        let good = key("one").sign(MESSAGE, 7).write();
        for bad in [
            String::new(),
            good.replace("v1", "v2"),
            format!("{good} "),
            format!("{good}A"),
            good.replace(" 7 ", " -7 "),
            good.replace(' ', "  "),
            good.get(..good.len() - 1).unwrap().to_owned(),
            "v1 ".repeat(1_000),
        ] {
            assert_eq!(Signature::read(&bad), None, "{bad}");
        }
    }
}
