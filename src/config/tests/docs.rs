//! docs/configuration.md names every key with its default, and no other.

use std::collections::BTreeMap;

use figment::value::Value;

use super::*;
use crate::config::schema::Schema;

/// How the document writes a default.
fn cell(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) if text.is_empty() => "empty".into(),
        toml::Value::String(text) => format!("`{text}`"),
        toml::Value::Array(elements) if elements.iter().any(toml::Value::is_table) => "see below".into(),
        other => format!("`{other}`"),
    }
}

#[test]
fn every_key_is_documented_with_its_default() {
    let defaults = toml::Value::try_from(Config::default()).unwrap();
    let expected: BTreeMap<String, String> = Schema::new()
        .unwrap()
        .all_keys()
        .into_iter()
        // A section without keys.
        .filter(|key| key.contains('.'))
        .map(|key| {
            let value = key.split('.').try_fold(&defaults, |value, name| value.get(name));
            let cell = value.map_or("none".into(), cell);
            (key, cell)
        })
        .collect();

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut documented = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(key) = cells[0]
            .strip_prefix("| `")
            .and_then(|rest| rest.strip_suffix('`'))
        else {
            continue;
        };
        assert_eq!(cells.len(), 3, "a row is key | default | meaning: {line}");
        let meaning = cells[2].trim_end_matches('|').trim();
        assert!(meaning.len() > 5, "{key} has no meaning");
        let first = documented.insert(key.to_owned(), cells[1].to_owned());
        assert_eq!(first, None, "{key} is there twice");
    }

    let row = |(key, cell): (&String, &String)| format!("| `{key}` | {cell} | … |\n");
    let missing: String = expected
        .iter()
        .filter(|(key, cell)| documented.get(*key) != Some(cell))
        .map(row)
        .collect();
    let surplus: String = documented
        .iter()
        .filter(|(key, _)| !expected.contains_key(*key))
        .map(row)
        .collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "docs/configuration.md\nlacks:\n{missing}has and should not:\n{surplus}"
    );
}

/// The schema is made of what the defaults serialise to, so no key may hide when it is none.
#[test]
fn optional_keys_are_known() {
    let schema = Schema::new().unwrap();
    for key in [
        "bus.url",
        "bus.password",
        "http.admin_listen",
        "login.permits",
        "auth.users",
    ] {
        assert!(schema.all_keys().contains(&key.to_owned()), "{key}");
    }
    assert!(Value::serialize(Config::default()).is_ok());
}
