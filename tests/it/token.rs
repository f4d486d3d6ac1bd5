//! The promises about logging in with a token, over real sockets: one file each.

use herald::auth::token::config::{IssuerConfig, KeyConfig};
use tempfile::NamedTempFile;

use crate::support::app::App;
use crate::support::tokens::{ISSUER, Signer};

mod granted;
mod lifetime;
mod login;
mod places;
mod renewal;
mod roles;

/// An instance that takes the tokens of one key, with the configuration adjusted.
pub(crate) struct Taking {
    pub app: App,
    pub key: Signer,
    pub _file: NamedTempFile,
}

impl Taking {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut herald::config::Config)) -> Self {
        let key = Signer::new("k1");
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key.public_pem()).unwrap();
        let mut issuer = IssuerConfig::new(ISSUER, "herald", "id:");
        issuer.keys = vec![KeyConfig {
            kid: Some("k1".into()),
            public_key_file: Some(file.path().to_str().unwrap().into()),
            ..KeyConfig::default()
        }];
        let app = App::with(|config| {
            config.auth.issuers = vec![issuer];
            configure(config);
        })
        .await;
        Self {
            app,
            key,
            _file: file,
        }
    }
}
