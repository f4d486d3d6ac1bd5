//! An issuer of tokens: its key, made by `openssl`, the configuration with which Herald accepts its tokens, and the
//! tokens, signed here and not by Herald's own code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{digest, hmac};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::Outcome;
use crate::people::name;

/// What a token is signed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    Rs256,
    EdDsa,
    Es256,
    Hs256,
}

impl Algorithm {
    /// As it stands in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Secret(hmac::Key),
}

/// What users' names begin with.
pub const USER_PREFIX: &str = "b:";
/// The key of the REST interface that the configuration has, with every scope.
pub const API_KEY: &str = "the-key-of-the-load-program";
/// How far ahead of the shared clock nothing is.
const LEEWAY: &str = "0s";

/// An issuer. Its files are removed with it.
pub struct Issuer {
    folder: PathBuf,
    algorithm: Algorithm,
    key: Key,
    random: SystemRandom,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Issuer {
    /// One that signs by `algorithm`.
    pub fn new(algorithm: Algorithm) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!(
            "herald-bench-{}-{}",
            std::process::id(),
            algorithm.name()
        ));
        std::fs::create_dir_all(&folder)?;
        let random = SystemRandom::new();
        let (key, line) = match algorithm {
            Algorithm::Hs256 => {
                let secret = [b'k'; 32];
                std::fs::write(folder.join("secret"), secret)?;
                (
                    Key::Secret(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
                    "secret_file = \"secret\"",
                )
            }
            _ => (
                private(&folder, algorithm, &random)?,
                "public_key_file = \"public.pem\"",
            ),
        };
        let line = line.replace("= \"", &format!("= \"{}/", folder.display()));
        let hash: String = digest::digest(&digest::SHA256, API_KEY.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let config = format!(
            "[[auth.issuers]]\nissuer = \"https://bench.example\"\naudience = [\"herald\"]\nuser_prefix = \"{USER_PREFIX}\"\n\
             roles_claim = \"roles\"\nrole_map = {{ publisher = \"ROLE_PUBLISHER\" }}\nleeway = \"{LEEWAY}\"\n\
             [[auth.issuers.keys]]\nkid = \"2026\"\n{line}\n[[api.keys]]\nname = \"bench\"\nsha256 = \"{hash}\"\nscopes = [\"admin\"]\n"
        );
        std::fs::write(folder.join("herald.toml"), config)?;
        Ok(Self {
            folder,
            algorithm,
            key,
            random,
        })
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        self.folder.join("herald.toml").to_string_lossy().into_owned()
    }

    /// A token of the `number`th user that ends at `ends`, in Unix seconds, as long as those of providers; `id` makes it
    /// another one.
    pub fn token(&self, number: usize, id: u64, ends: u64) -> Outcome<String> {
        let header = format!(
            r#"{{"alg":"{}","typ":"JWT","kid":"2026"}}"#,
            self.algorithm.name()
        );
        let claims = format!(
            r#"{{"iss":"https://bench.example","aud":["herald"],"sub":"{}","iat":{},"exp":{ends},"jti":"{id:020}","roles":["publisher"],"tenant":"acme","azp":"page"}}"#,
            name(number),
            ends.min(now()?),
        );
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let bytes = text.as_bytes();
        let failed = |_| "the token could not be signed";
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &self.random, bytes, &mut signature)
                    .map_err(failed)?;
                signature
            }
            Key::Ed25519(key) => key.sign(bytes).as_ref().to_vec(),
            Key::P256(key) => key.sign(&self.random, bytes).map_err(failed)?.as_ref().to_vec(),
            Key::Secret(key) => hmac::sign(key, bytes).as_ref().to_vec(),
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// One for each of `count` users, each another than all with another `id`; they end at `ends`. Made on two threads.
    pub fn tokens(&self, count: usize, id: u64, ends: u64) -> Outcome<Vec<String>> {
        let made = |from: usize, to: usize| -> Result<Vec<String>, String> {
            let tokens = (from..to).map(|number| self.token(number, id, ends));
            tokens.collect::<Outcome<_>>().map_err(|error| error.to_string())
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| made(0, count / 2));
            let mut rest = made(count / 2, count)?;
            let mut all = first.join().map_err(|_| "a signer panicked")??;
            all.append(&mut rest);
            Ok(all)
        })
    }
}

/// The time, in Unix seconds.
pub fn now() -> Outcome<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// An hour from now, in Unix seconds.
pub fn in_an_hour() -> Outcome<u64> {
    Ok(now()? + 3_600)
}

/// Runs `openssl` in `folder`.
pub fn openssl(folder: &Path, arguments: &[&str]) -> Outcome<()> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn private(folder: &Path, algorithm: Algorithm, random: &SystemRandom) -> Outcome<Key> {
    let kind: &[&str] = match algorithm {
        Algorithm::Rs256 => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        Algorithm::EdDsa => &["ED25519"],
        _ => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    };
    openssl(
        folder,
        &[&["genpkey", "-out", "private.pem", "-algorithm"], kind].concat(),
    )?;
    openssl(
        folder,
        &["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"],
    )?;
    let der = PrivatePkcs8KeyDer::from_pem_file(folder.join("private.pem"))
        .map_err(|error| format!("the private key: {error}"))?;
    let bytes = der.secret_pkcs8_der();
    let rejected = |error| format!("the private key: {error}");
    Ok(match algorithm {
        Algorithm::Rs256 => Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(bytes).map_err(rejected)?)),
        Algorithm::EdDsa => {
            Key::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(rejected)?)
        }
        _ => Key::P256(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, random).map_err(rejected)?,
        ),
    })
}
