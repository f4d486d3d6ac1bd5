//! Whether the NATS server lets anybody connect. Knows no message.

use std::net::IpAddr;

use async_nats::ServerInfo;

use super::link::Connection;

/// What the log and `/readyz` say about such a server.
const WORDS: &str = "NATS asks for no credentials: whoever reaches it can forge notifications and end sessions \
                     (docs/nats.md, Permissions)";

impl Connection {
    /// The words for a server without credentials. `None` while there is no connection.
    pub(super) fn open_words(&self) -> Option<String> {
        (self.is_up() && is_open(&self.client.server_info())).then(|| WORDS.into())
    }
}

/// Whether the server accepts every client that can reach it: it requires no password, token or key, and verifies no
/// certificate, and as far as can be determined, not only this host can reach it. The client address that the server
/// sees shows this: it is a loopback address if both are on the same host.
pub(super) fn is_open(info: &ServerInfo) -> bool {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    let is_local = info.client_ip.parse().is_ok_and(is_loopback);
    !info.auth_required && !info.tls_verify && !is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_open_that_asks_for_nothing_from_afar() {
        let info = |client_ip: &str, auth_required, tls_verify| ServerInfo {
            client_ip: client_ip.into(),
            auth_required,
            tls_verify,
            ..ServerInfo::default()
        };
        for (client_ip, expected) in [
            ("10.0.0.7", true),
            ("2001:db8::7", true),
            ("", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
        ] {
            assert_eq!(is_open(&info(client_ip, false, false)), expected, "{client_ip}");
            assert!(!is_open(&info(client_ip, true, false)) && !is_open(&info(client_ip, false, true)));
        }
    }
}
