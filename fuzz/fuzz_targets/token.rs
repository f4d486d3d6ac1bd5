//! Promise: no text makes the checks of a token panic, no unsigned one is accepted, and no word shows the token. An
//! accepted one is within its limits.
//!
//! Input: `=` and claims, which are signed unchanged; or a token itself.

#![no_main]

use std::sync::LazyLock;

use herald::auth::Config;
use herald::auth::issuers::{DEMO_ISSUER, DEMO_SECRET, KnownIssuers};
use herald::auth::token::mint::SigningKey;
use herald::setting::{Findings, Secret};
use libfuzzer_sys::fuzz_target;

static ISSUERS: LazyLock<KnownIssuers> =
    LazyLock::new(|| KnownIssuers::open(&Config::default(), true, &mut Findings::default()));
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::secret(DEMO_SECRET.as_bytes()).unwrap());

/// Some moment, in Unix ms.
const NOW: u64 = 1_800_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (token, is_signed) = match text.strip_prefix('=') {
        None => (Secret::new(text), false),
        Some(claims) => match serde_json::from_str(claims) {
            Ok(serde_json::Value::Object(claims)) => (KEY.sign(None, &claims).unwrap(), true),
            _ => return,
        },
    };
    let report = ISSUERS.looking().inspect(&token, NOW, |issuer| {
        assert_eq!(issuer, DEMO_ISSUER);
        ISSUERS.own_keys(issuer).ok_or_else(String::new)
    });
    let signature = token.expose().rsplit('.').next().unwrap_or_default();
    let words = format!("{report:?}");
    assert!(signature.len() < 20 || !words.contains(signature), "{words}");
    if let Ok(verified) = report.outcome {
        assert!(is_signed, "taken without a signature: {text}");
        let user = verified.user.as_str();
        assert!((1..=255).contains(&user.len()) && !user.contains(':'), "{user}");
        assert!(verified.ends_ms > NOW && verified.ends_ms - verified.issued_ms <= 86_430_000);
        assert!(
            verified
                .roles
                .iter()
                .all(|role| ["ROLE_USER", "ROLE_ADMIN", "ROLE_PUBLISHER"].contains(&role.as_str()))
        );
        assert!(verified.attributes.iter().all(|(name, _)| name == "tenant"));
    }
});
