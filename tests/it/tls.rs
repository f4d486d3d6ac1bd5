//! Promises about Herald's own TLS; the other tests, with the switch of `support/tls`, test that sessions behave as
//! without it.

mod clients;
mod delivery;
mod handshake;
mod health;
mod hostile;
mod reload;
