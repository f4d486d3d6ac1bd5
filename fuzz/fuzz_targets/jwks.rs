//! Promise: whatever an issuer's server answers becomes a bounded set of public keys that is not empty, or an error;
//! and a document that is not this issuer's discovery document names no address.

#![no_main]

use herald::auth::keys::{KEYS_MAX, jwks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(set) = jwks::parse(data) {
        let keys = set.keys().count();
        assert!((1..=KEYS_MAX).contains(&keys), "{keys} keys");
        for key in set.keys() {
            let algorithms = format!("{:?}", key.algorithms());
            assert!(
                !key.algorithms().is_empty() && !algorithms.contains("HS"),
                "{algorithms}"
            );
        }
    }
    if jwks::jwks_uri(data, "https://id.example").is_ok() {
        let text = std::str::from_utf8(data).unwrap();
        // The document may write it with escapes.
        assert!(
            text.contains("https://id.example") || text.contains('\\'),
            "{text}"
        );
    }
});
