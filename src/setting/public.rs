//! Recognizes texts that are not secrets although a secret's file contains them: a public key, a certificate, a key
//! set. Anybody who has the public half could sign with it. A private key is refused as well: it belongs to one side
//! alone. Pure; its words never repeat what was found.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// With or without padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a public key of OpenSSH begins with.
const SSH: [&[u8]; 4] = [b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];

/// What was found where a secret is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSecret {
    /// PEM with a public key, or OpenSSH's line.
    PublicKey,
    /// PEM with a private key.
    PrivateKey,
    /// PEM with a certificate.
    Certificate,
    /// Other PEM.
    Pem,
    /// A JSON object or array, such as a JWK.
    Json,
    /// What PEM holds, as bytes or as base64.
    Der,
}

impl NoSecret {
    /// What `bytes` are, if they are one of these. Bytes by chance are none of them, and neither is a password or a token.
    pub fn found(bytes: &[u8]) -> Option<Self> {
        // PEM and JSON in UTF-16 have zeros between the characters.
        let plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        let marks: &[u8] = b"\xef\xbb\xbf\xff\xfe";
        let start = plain
            .iter()
            .position(|byte| !byte.is_ascii_whitespace() && !marks.contains(byte))
            .unwrap_or(plain.len());
        let plain = zeroize::Zeroizing::new(plain);
        let text = plain.get(start..).unwrap_or_default();
        Self::pem(text)
            .or_else(|| {
                SSH.iter()
                    .any(|mark| text.starts_with(mark))
                    .then_some(Self::PublicKey)
            })
            .or_else(|| is_json(text).then_some(Self::Json))
            .or_else(|| is_key_data(bytes).then_some(Self::Der))
    }

    /// Whether it comes from a file with a key or a certificate for sure, so that it is no password either.
    pub fn is_file(self) -> bool {
        !matches!(self, Self::Json | Self::Der)
    }

    fn pem(text: &[u8]) -> Option<Self> {
        let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
        if !has(b"-----BEGIN ") && !has(b"---- BEGIN ") && !text.starts_with(b"PuTTY-User-Key-File") {
            return None;
        }
        Some(match () {
            () if has(b"PRIVATE KEY") || text.starts_with(b"PuTTY") => Self::PrivateKey,
            () if has(b"CERTIFICATE") => Self::Certificate,
            () if has(b"PUBLIC KEY") => Self::PublicKey,
            () => Self::Pem,
        })
    }
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "a public key, which is no secret",
            Self::PrivateKey => "a private key, which only the one who signs may have",
            Self::Certificate => "a certificate, which is no secret",
            Self::Pem => "PEM, which is no secret for signatures",
            Self::Json => "JSON, such as a JWK or a key set",
            Self::Der => "a key or a certificate (DER)",
        })
    }
}

fn is_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'['))
        && matches!(
            serde_json::from_slice(text),
            Ok(serde_json::Value::Object(_) | serde_json::Value::Array(_))
        )
}

/// DER as it is or as base64, of which PEM is made; or the bytes of OpenSSH's public key.
fn is_key_data(bytes: &[u8]) -> bool {
    let text: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let decoded = BASE64.decode(&*zeroize::Zeroizing::new(text)).unwrap_or_default();
    let decoded = zeroize::Zeroizing::new(decoded);
    is_der(bytes) || is_der(&decoded) || is_ssh(&decoded)
}

fn is_ssh(bytes: &[u8]) -> bool {
    let name = bytes.get(4..).unwrap_or_default();
    bytes.starts_with(&[0, 0, 0]) && SSH.iter().any(|mark| name.starts_with(mark))
}

/// Whether this is one sequence that begins with a sequence or a number, as keys and certificates do, and whose parts fill it.
/// A line's end that was cut off or added counts for nothing.
fn is_der(bytes: &[u8]) -> bool {
    let whole = |bytes: &[u8]| {
        let Some((0x30, mut body, [])) = part(bytes) else {
            return false;
        };
        if !matches!(body.first(), Some(0x30 | 0x02)) {
            return false;
        }
        while !body.is_empty() {
            match part(body) {
                Some((_, _, rest)) => body = rest,
                None => return false,
            }
        }
        true
    };
    let end = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let longer = |end: &[u8]| whole(&zeroize::Zeroizing::new([bytes, end].concat()));
    whole(bytes) || whole(end) || longer(b"\n") || longer(b"\r") || longer(b"\r\n")
}

/// The first part of DER: its tag, what it holds, and what follows.
fn part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((*tag, body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ed25519 public key.
    const BODY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    fn pem(label: &str) -> Vec<u8> {
        format!("-----BEGIN {label}-----\n{BODY}\n-----END {label}-----").into_bytes()
    }

    #[test]
    fn public_keys_private_keys_certificates_and_key_sets_are_no_secrets() {
        let der = BASE64.decode(BODY).unwrap();
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(pem("PUBLIC KEY").into_iter().flat_map(|byte| [byte, 0]))
            .collect();
        let behind = [b"Bag Attributes\n".to_vec(), pem("CERTIFICATE")].concat();
        let ssh = "AAAAC3NzaC1lZDI1NTE5AAAAIBm/RAlphM3+hUG6wWfcO5bIUIaqMLa2ywxcOK1wMWbh";
        let mut ends = der.clone();
        *ends.last_mut().unwrap() = b'\n';
        let cut = ends[..ends.len() - 1].to_vec();
        for (bytes, expected) in [
            (pem("PUBLIC KEY"), NoSecret::PublicKey),
            (pem("RSA PUBLIC KEY"), NoSecret::PublicKey),
            (utf16, NoSecret::PublicKey),
            (
                b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n".to_vec(),
                NoSecret::PublicKey,
            ),
            (format!("ssh-ed25519 {ssh} a@b").into_bytes(), NoSecret::PublicKey),
            (b"ecdsa-sha2-nistp256 AAAA".to_vec(), NoSecret::PublicKey),
            (pem("PRIVATE KEY"), NoSecret::PrivateKey),
            (pem("EC PRIVATE KEY"), NoSecret::PrivateKey),
            (pem("ENCRYPTED PRIVATE KEY"), NoSecret::PrivateKey),
            (pem("OPENSSH PRIVATE KEY"), NoSecret::PrivateKey),
            (
                b"PuTTY-User-Key-File-3: ssh-ed25519\n".to_vec(),
                NoSecret::PrivateKey,
            ),
            (pem("CERTIFICATE"), NoSecret::Certificate),
            (behind, NoSecret::Certificate),
            (pem("PGP MESSAGE"), NoSecret::Pem),
            (br#"{"kty":"oct","k":"AAAA"}"#.to_vec(), NoSecret::Json),
            (b"\xef\xbb\xbf\n{\"keys\": []}".to_vec(), NoSecret::Json),
            (b"[{\"kty\":\"OKP\"}]".to_vec(), NoSecret::Json),
            (der.clone(), NoSecret::Der),
            (ends, NoSecret::Der),
            (cut, NoSecret::Der),
            (BODY.into(), NoSecret::Der),
            (BODY.trim_end_matches('=').into(), NoSecret::Der),
            (BODY.replace("Gb9", "Gb\n9").into(), NoSecret::Der),
            (ssh.into(), NoSecret::Der),
        ] {
            let name = String::from_utf8_lossy(&bytes);
            assert_eq!(NoSecret::found(&bytes), Some(expected), "{name}");
        }
        for (label, file) in [
            (
                NoSecret::PublicKey,
                &include_bytes!("../auth/token/tests/rsa_public.pem")[..],
            ),
            (
                NoSecret::PrivateKey,
                include_bytes!("../auth/token/tests/rsa.pem"),
            ),
        ] {
            assert_eq!(NoSecret::found(file), Some(label));
            let body = String::from_utf8(file.to_vec()).unwrap();
            let body: String = body.lines().filter(|line| !line.starts_with("---")).collect();
            assert_eq!(NoSecret::found(body.as_bytes()), Some(NoSecret::Der));
            assert_eq!(
                NoSecret::found(&BASE64.decode(body).unwrap()),
                Some(NoSecret::Der)
            );
        }
    }

    #[test]
    fn secrets_are_none_of_these() {
        for secret in [
            &b""[..],
            b"a secret of at least 32 bytes for HS256",
            b"herald-demo: everybody knows this secret",
            b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            b"{an open brace, and then words without end",
            b"[x]aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqow",
            b"0\x1e0\x05aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"begin ssh-ed25519",
        ] {
            assert_eq!(
                NoSecret::found(secret),
                None,
                "{}",
                String::from_utf8_lossy(secret)
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_are_a_secret(bytes in proptest::array::uniform32(proptest::num::u8::ANY)) {
            proptest::prop_assert_eq!(NoSecret::found(&bytes), None);
            let text = BASE64.encode(bytes);
            proptest::prop_assert_eq!(NoSecret::found(text.as_bytes()), None);
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = NoSecret::found(&bytes);
            let _ = is_der(&[&[0x30][..], &bytes].concat());
        }
    }
}
