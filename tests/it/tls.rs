//! Promises about TLS of Herald's own; that sessions behave as without it is tested by the other tests, with the switch of
//! `support/tls`.

mod clients;
mod delivery;
mod handshake;
mod health;
mod hostile;
mod reload;
