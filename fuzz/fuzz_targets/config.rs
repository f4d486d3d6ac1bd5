//! Promise: any text as a configuration file is accepted, or refused in words and never by a panic; and no word of
//! the refusal, or of `herald check`, is part of a secret.
//!
//! Input: TOML; each `~` stands for a secret.

#![no_main]

use std::cell::LazyCell;
use std::io::{Seek, Write};

use herald::cli::check;
use herald::config::{Arguments, load};
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use toml::de::{DeTable, DeValue};

const SECRET: &str = "pl4nted5ecret";
/// A part of this length cannot be an accident.
const PART: usize = 6;

thread_local! {
    // In memory if there is such a place.
    static FILE: LazyCell<NamedTempFile> = LazyCell::new(|| {
        NamedTempFile::new_in("/dev/shm")
            .or_else(|_| NamedTempFile::new())
            .expect("a temporary file")
    });
}

fuzz_target!(|text: &str| {
    let text = text.replace('~', SECRET);
    let loaded = FILE.with(|file| {
        let mut open = file.as_file();
        open.set_len(0).expect("truncate");
        open.rewind().expect("rewind");
        open.write_all(text.as_bytes()).expect("write");
        let arguments = Arguments {
            config: Some(file.path().to_path_buf()),
            ..Arguments::default()
        };
        load(&arguments, [])
    });
    // A text where no secret belongs may be shown: a name, an address. Read as Herald does, which accepts a number
    // that is too large.
    let shown = DeTable::parse(&text).is_ok_and(|table| {
        let table = table.into_inner();
        is_elsewhere(&mut Vec::new(), &DeValue::Table(table))
    });
    match loaded {
        Err(error) => {
            if !shown {
                assert_hidden(&error.to_string());
                assert_hidden(&format!("{error:?}"));
            }
        }
        Ok(loaded) => {
            let text = check::render(&loaded).expect("what was loaded can be written");
            let warnings = loaded.warnings.iter().map(ToString::to_string);
            if !shown && !is_host(loaded.config.bus.url.map(|url| url.to_string())) {
                warnings.chain([text]).for_each(|text| assert_hidden(&text));
            }
        }
    }
});

/// Whether the secret is in a key, or in a value that is not meant for one.
fn is_elsewhere<'v>(path: &mut Vec<&'v str>, value: &'v DeValue<'v>) -> bool {
    match value {
        DeValue::Table(table) => table.iter().any(|(name, value)| {
            path.push(name.get_ref());
            let found = part_in(name.get_ref()).is_some() || is_elsewhere(path, value.get_ref());
            path.pop();
            found
        }),
        DeValue::Array(values) => values.iter().any(|value| is_elsewhere(path, value.get_ref())),
        DeValue::String(text) => !is_secret(path) && part_in(text).is_some(),
        _ => false,
    }
}

fn is_secret(path: &[&str]) -> bool {
    matches!(
        path,
        ["bus", "url" | "password" | "token" | "nkey", ..] | ["auth", "users", "password", ..]
    )
}

/// Whether the secret stands in the place of a host's name.
fn is_host(url: Option<String>) -> bool {
    url.is_some_and(|hosts| part_in(&hosts).is_some())
}

/// The first part of the secret that occurs in `text`. The fuzzer finds the secret's bytes by itself, and therefore
/// most of them too: a name that contains a part is as little a leak as one that contains all of it.
fn part_in(text: &str) -> Option<&'static str> {
    (0..=SECRET.len() - PART)
        .map(|at| &SECRET[at..at + PART])
        .find(|part| text.contains(part))
}

#[track_caller]
fn assert_hidden(said: &str) {
    if let Some(part) = part_in(said) {
        panic!("{part} of the secret in: {said}");
    }
}
