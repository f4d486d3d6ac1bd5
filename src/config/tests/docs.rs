//! The promise: docs/configuration.md names every key with its default, and no other.

use std::collections::BTreeMap;

use figment::value::Value;

use super::*;
use crate::config::schema::Schema;
use crate::limit::Limit;

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

/// docs/limits.md names every limit that is counted, and every setting of `[limits]`, with its default; and says of each that
/// is not counted by its name how it is.
#[test]
fn every_limit_is_documented_and_counted_as_it_says() {
    let defaults = toml::Value::try_from(Config::default()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
    let text = std::fs::read_to_string(path).unwrap();
    let counted = |name: &str| Limit::ALL.iter().any(|limit| limit.name() == name);
    let mut documented = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).splitn(3, " | ").collect();
        assert_eq!(
            cells.len(),
            3,
            "a row is settings | defaults | what happens: {line}"
        );
        let names: Vec<&str> = cells[0].split(", ").map(|name| name.trim_matches('`')).collect();
        for (name, default) in names.iter().zip(cells[1].split(", ")) {
            let value = name.split('.').try_fold(&defaults, |value, part| {
                value.get(part).or_else(|| value.get(0)?.get(part))
            });
            // Of an item of a list that is empty by default, only the limit's name is known.
            if value.is_none() && default == "none" && counted(name) {
                continue;
            }
            let value = value.unwrap_or_else(|| panic!("no setting: {name}"));
            assert_eq!(cell(value), format!("`{default}`"), "the default of {name}");
        }
        let says = ["not counted", "counted as", "herald_"];
        let is_counted = names.iter().any(|name| counted(name));
        assert!(
            is_counted || says.iter().any(|words| cells[2].contains(words)),
            "{line}"
        );
        assert!(!is_counted || !cells[2].contains("not counted"), "{line}");
        documented.extend(names.into_iter().map(str::to_owned));
    }
    // What bounds nothing by itself.
    documented.extend(["limits.socket_send_bytes", "limits.sessions_per_user_policy"].map(str::to_owned));
    let settings = Schema::new().unwrap().all_keys().into_iter();
    let settings = settings.filter(|key| key.starts_with("limits."));
    let limits = Limit::ALL.iter().map(|limit| limit.name().to_owned());
    for name in settings.chain(limits) {
        assert!(documented.contains(&name), "docs/limits.md lacks {name}");
    }
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
