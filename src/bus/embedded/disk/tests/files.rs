//! The promise: a file that cannot be used is refused at the start with what was wrong and what is expected, and
//! `herald check` reports it as well if it can without writing; only its owner can read a good one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as FsPath;

use redb::{Database, ReadableDatabase, TableDefinition};

use super::*;

fn open(path: &FsPath) -> Result<Database, String> {
    OnFile(path.to_owned()).open()
}

fn herald(path: &FsPath) -> Result<Life, String> {
    let medium = OnFile(path.to_owned());
    let database = medium.open()?;
    life::begin(&database, medium.identity(), unix_ms())
}

#[test]
fn a_new_file_is_of_its_owner_alone_and_goes_on_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    medium::check(&path).unwrap();
    assert!(!path.exists(), "a check leaves nothing behind");
    let Ok(Life::New(epoch)) = herald(&path) else {
        panic!("new");
    };
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    medium::check(&path).unwrap();
    assert_eq!(herald(&path), Ok(Life::Continued(epoch)));
    let moved = folder.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(herald(&moved), Ok(Life::Continued(epoch)));
    let copy = folder.path().join("copy");
    fs::copy(&moved, &copy).unwrap();
    assert!(matches!(herald(&copy), Ok(Life::Copied(new)) if new > epoch));
    // An empty file, as `mktemp` makes one.
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    medium::check(&empty).unwrap();
    assert!(matches!(herald(&empty), Ok(Life::New(_))));
}

#[test]
fn one_that_cannot_be_used_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let both = |path: &FsPath, words: &str| {
        for said in [medium::check(path).unwrap_err(), herald(path).unwrap_err()] {
            let named = path.file_name().unwrap().to_str().unwrap();
            assert!(said.contains(words), "{named}: {said}");
        }
    };
    both(folder.path(), "expected a file");
    both(&at("nowhere/history"), "there is no such folder");
    fs::write(at("text"), "a text of somebody's").unwrap();
    both(&at("text"), "this is another file");
    // Of another program.
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let database = open(&at("foreign")).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(other).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    both(&at("foreign"), "a database of another program");
    // Of a newer Herald.
    herald(&at("newer")).unwrap();
    let database = open(&at("newer")).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(store::NUMBERS)
        .unwrap()
        .insert("format", 2)
        .unwrap();
    write.commit().unwrap();
    assert!(database.begin_read().is_ok());
    drop(database);
    both(
        &at("newer"),
        "format 2, of a newer Herald; this one reads format 1",
    );
    // Cut off, and damaged.
    herald(&at("whole")).unwrap();
    let whole = fs::read(at("whole")).unwrap();
    fs::write(at("cut"), &whole[..whole.len() / 2]).unwrap();
    let said = herald(&at("cut")).unwrap_err();
    assert!(said.contains("the file is damaged"), "{said}");
    let mut damaged = whole.clone();
    damaged[8..4_096].fill(0xa5);
    fs::write(at("damaged"), damaged).unwrap();
    both(&at("damaged"), "move it away, and a new history begins");
    fs::write(at("short"), &whole[..100]).unwrap();
    both(&at("short"), "the file is damaged");
    // Wherever it is: seen and said, or not seen, but never a panic.
    let step = (whole.len() / 24).next_multiple_of(4_096);
    for begin in (0..whole.len()).step_by(step) {
        let mut damaged = whole.clone();
        let end = (begin + step).min(whole.len());
        damaged[begin.max(8)..end].fill(0);
        fs::write(at("zeroed"), damaged).unwrap();
        let (_, _) = (medium::check(&at("zeroed")), herald(&at("zeroed")));
    }
}

#[test]
fn one_that_another_has_open_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let held = open(&path).unwrap();
    let said = herald(&path).unwrap_err();
    assert!(said.contains("another process has it open"), "{said}");
    // A check beside a running instance has nothing to complain about.
    medium::check(&path).unwrap();
    drop(held);
    herald(&path).unwrap();
}
