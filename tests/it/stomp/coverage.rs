//! The promise: no rule is without a test, and no departure without a reason. The numbers are those of
//! docs/stomp-rules.md.

/// Every rule. `true`: Herald departs from what the rule requires or advises, and docs/stomp.md says why.
const RULES: [(&str, bool); 76] = [
    ("F1", false),
    ("F2", true),
    ("F3", true),
    ("F4", false),
    ("F5", false),
    ("F6", false),
    ("F7", false),
    ("F8", false),
    ("F9", false),
    ("F10", false),
    ("F11", false),
    ("F12", false),
    ("H1", true),
    ("H2", false),
    ("H3", false),
    ("H4", false),
    ("H5", false),
    ("H6", true),
    ("H7", false),
    ("H8", false),
    ("C1", false),
    ("C2", true),
    ("C3", false),
    ("C4", false),
    ("C5", false),
    ("C6", false),
    ("C7", false),
    ("C8", false),
    ("C9", true),
    ("C10", false),
    ("C11", false),
    ("B1", false),
    ("B2", false),
    ("B3", true),
    ("B4", false),
    ("B5", false),
    ("B6", false),
    ("B7", false),
    ("S1", false),
    ("S2", true),
    ("S3", true),
    ("S4", true),
    ("S5", false),
    ("S6", false),
    ("S7", false),
    ("S8", false),
    ("A1", false),
    ("A2", false),
    ("A3", true),
    ("T1", false),
    ("T2", true),
    ("T3", false),
    ("T4", false),
    ("D1", false),
    ("D2", false),
    ("R1", true),
    ("R2", true),
    ("R3", false),
    ("G1", false),
    ("G2", false),
    ("G3", false),
    ("E1", false),
    ("E2", false),
    ("E3", false),
    ("L1", false),
    ("W1", false),
    ("W2", false),
    ("W3", true),
    ("W4", false),
    ("W5", false),
    ("W6", false),
    ("W7", false),
    ("W8", false),
    ("W9", false),
    ("W10", false),
    ("W11", false),
];

const TESTS: [&str; 7] = [
    include_str!("framing.rs"),
    include_str!("headers.rs"),
    include_str!("connecting.rs"),
    include_str!("heartbeats.rs"),
    include_str!("client_frames.rs"),
    include_str!("server_frames.rs"),
    include_str!("websocket.rs"),
];
const LIST: &str = include_str!("../../../docs/stomp-rules.md");
const GUIDE: &str = include_str!("../../../docs/stomp.md");

#[test]
fn every_rule_has_its_test_and_its_row() {
    let rows: Vec<&str> = LIST.lines().filter_map(|line| cell(line, 0)).collect();
    let numbers: Vec<&str> = RULES.iter().map(|(number, _)| *number).collect();
    assert_eq!(rows, numbers, "docs/stomp-rules.md and the table of this file");
    for number in numbers {
        // With its attribute directly above: neither a function called by tests nor an ignored test counts.
        let begin = format!("\n#[tokio::test]\nasync fn {}_", number.to_lowercase());
        let tests: usize = TESTS.iter().map(|file| file.matches(&begin).count()).sum();
        assert_eq!(tests, 1, "{number}");
    }
}

#[test]
fn every_departure_is_told_with_its_reason() {
    let (_, section) = GUIDE.split_once("\n## Departures\n").expect("the section");
    let told: Vec<&str> = section.lines().filter_map(|line| cell(line, 0)).collect();
    let departed: Vec<&str> = RULES
        .iter()
        .filter(|(_, departs)| *departs)
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(told, departed);
    for line in section.lines().filter(|line| cell(line, 0).is_some()) {
        assert!(cell(line, 2).is_some_and(|reason| reason.len() > 20), "{line}");
    }
}

/// A cell of a table's row whose first cell is the number of a rule.
fn cell(line: &str, index: usize) -> Option<&str> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let number = cells.clone().next()?;
    let is_number = number.starts_with(|c: char| c.is_ascii_uppercase())
        && number.len() > 1
        && number[1..].bytes().all(|byte| byte.is_ascii_digit());
    cells.nth(index).filter(|_| is_number)
}
