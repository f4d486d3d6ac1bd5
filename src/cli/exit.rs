//! The exit codes of every command: one table, which docs/cli.md repeats. They are those of sysexits where it has one, so
//! that a script can tell "wrong" from "not now".

/// It failed, or the answer is no.
pub const FAILURE: u8 = 1;
/// `probe`: no connection, or no WebSocket.
pub const PROBE_CONNECT: u8 = 10;
/// `probe`: the login was refused, or not answered.
pub const PROBE_LOGIN: u8 = 11;
/// `probe`: the subscription was refused, or not answered.
pub const PROBE_SUBSCRIBE: u8 = 12;
/// `probe`: the publish was refused, or not answered.
pub const PROBE_PUBLISH: u8 = 13;
/// `probe`: the published notification did not arrive.
pub const PROBE_RECEIVE: u8 = 14;
/// The command line is wrong, or a file or variable that it names (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// Herald cannot be reached, does not answer, or the connection broke (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// Herald is there, and asks to try again later (`EX_TEMPFAIL`).
pub const TRY_LATER: u8 = 75;
/// The credentials are not accepted, or do not permit this (`EX_NOPERM`).
pub const REFUSED: u8 = 77;
/// The configuration is wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// All except 0, as docs/cli.md lists them.
pub const ALL: &[u8] = &[
    FAILURE,
    PROBE_CONNECT,
    PROBE_LOGIN,
    PROBE_SUBSCRIBE,
    PROBE_PUBLISH,
    PROBE_RECEIVE,
    USAGE,
    UNAVAILABLE,
    TRY_LATER,
    REFUSED,
    CONFIG,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_code_once() {
        let page = include_str!("../../docs/cli.md");
        let (_, section) = page.split_once("\n## Exit codes\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
        let codes: Vec<u8> = rows
            .filter_map(|row| row.split_once(" |")?.0.trim().parse().ok())
            .filter(|code| *code != 0)
            .collect();
        assert_eq!(codes, ALL);
    }
}
