//! The promise: what was written is read again, whatever was cut off after it; a file that is not Herald's remains
//! unchanged; and the file does not grow forever.

use std::fs;
use std::slice::from_ref;

use super::*;
use crate::auth::revoked::room;
use crate::envelope::unix_ms;
use crate::revocation::tests::block;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("revoked")
    }

    fn open(&self) -> (RevokedFile, Vec<Revocation>) {
        RevokedFile::open(&self.path(), 10).unwrap()
    }

    /// What is in force by it, whoever has it.
    fn kept(&self) -> Vec<Revocation> {
        read(&self.path(), 10).unwrap().into_values().collect()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

fn sorted(mut all: Vec<Revocation>) -> Vec<Revocation> {
    all.sort_by_key(|one| one.id);
    all
}

#[test]
fn what_was_written_is_read_again() {
    let place = Place::new();
    let (mut file, none) = place.open();
    assert!(none.is_empty());
    let (a, b) = (block("a"), block("b"));
    file.write(&[a.clone(), b.clone()], || panic!("nothing has failed"))
        .unwrap();
    let mut ended = block("c");
    ended.until_ms = unix_ms();
    file.write(&[b.lifted(), ended, b.clone()], Vec::new).unwrap();
    drop(file);
    let (_, read) = place.open();
    assert_eq!(read, sorted(vec![a, b.lifted()]));
    assert_eq!(
        place.text().lines().count(),
        3,
        "what says nothing any more is gone"
    );
    assert_eq!(fs::metadata(place.path()).unwrap().mode() & 0o777, 0o600);
    check(&place.path(), 10).unwrap();
}

#[test]
fn a_damaged_end_is_passed_over_and_gone_with_the_next_start() {
    let place = Place::new();
    let (a, b) = (block("a"), block("b"));
    place.open().0.write(from_ref(&a), Vec::new).unwrap();
    let whole = place.text();
    let more = serde_json::to_string(&b).unwrap();
    for end in [
        &more[..more.len() / 2],
        "\0\0\0\0",
        "{\n\n",
        &"x".repeat(200_000),
        &format!("{}\n{{", &more[..9]),
    ] {
        fs::write(place.path(), format!("{whole}{end}")).unwrap();
        let (mut file, read) = place.open();
        assert_eq!(read, from_ref(&a), "{end:.20}");
        assert_eq!(place.text(), whole);
        file.write(from_ref(&b), Vec::new).unwrap();
        assert_eq!(place.kept().len(), 2);
    }
    // It was cut off exactly behind a revocation.
    fs::write(place.path(), format!("{whole}{more}")).unwrap();
    assert_eq!(place.open().1, sorted(vec![a, b]));
}

#[test]
fn what_is_not_heralds_is_told_and_left_as_it_is() {
    let place = Place::new();
    let refused = |text: &[u8], words: &str| {
        fs::write(place.path(), text).unwrap();
        for said in [
            check(&place.path(), 1).unwrap_err(),
            RevokedFile::open(&place.path(), 1).map(drop).unwrap_err(),
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(fs::read(place.path()).unwrap(), text);
    };
    refused(b"[[users]]\n", "another file");
    refused(&[0xff; 100_000], "another file");
    refused(b"\n", "another file");
    refused(b"{\"herald\":\"revocations\",\"version\":2}\n", "version 2");
    let head = "{\"herald\":\"revocations\",\"version\":1}\n";
    let json = |one: &Revocation| serde_json::to_string(one).unwrap() + "\n";
    refused(format!("{head}{{}}\n{}", json(&block("a"))).as_bytes(), "line 2");
    // A newer version's, at the end too: it may be the one that counts most.
    let newer = r#"{"id":"01JDEXAMPRE0000000000000AB","client":"c1","since_ms":1,"until_ms":9}"#;
    let known = json(&block("a"));
    refused(format!("{head}{known}{newer}\n").as_bytes(), "line 3");
    let twice = newer.replace("client", "id");
    refused(format!("{head}{known}{twice}\n").as_bytes(), "line 3");
    let long = newer.replace("c1", &"x".repeat(200_000));
    refused(format!("{head}{known}{long}\n").as_bytes(), "line 3");
    refused(b"[\"revocations\",1]\n", "another file");
    let mut far = block("a");
    far.until_ms *= 2;
    refused(format!("{head}{}", json(&far)).as_bytes(), "clock");
    let many: String = (0..=room(1)).map(|_| json(&block("a"))).collect();
    refused(format!("{head}{many}").as_bytes(), "auth.revocations is 1");
    fs::remove_file(place.path()).unwrap();
    fs::create_dir(place.path()).unwrap();
    assert!(check(&place.path(), 1).unwrap_err().contains("expected a file"));
    fs::remove_dir(place.path()).unwrap();
    fs::write(place.path(), "").unwrap();
    assert!(place.open().1.is_empty(), "an empty file becomes one");
}

#[test]
fn a_file_that_was_moved_or_replaced_is_written_as_a_whole() {
    let place = Place::new();
    let (a, b, c, d) = (block("a"), block("b"), block("c"), block("d"));
    let (mut file, _) = place.open();
    file.write(from_ref(&a), Vec::new).unwrap();
    fs::remove_file(place.path()).unwrap();
    file.write(from_ref(&b), || vec![a.clone()]).unwrap();
    // Somebody else writes it too.
    fs::write(place.path(), place.text() + &serde_json::to_string(&c).unwrap()).unwrap();
    file.write(from_ref(&d), || vec![a.clone(), b.clone()]).unwrap();
    assert_eq!(place.kept(), sorted(vec![a.clone(), b.clone(), c, d]));
    // What it cannot be, it is told, and once that is over it has all.
    let away = place.0.path().join("away");
    fs::rename(place.path(), &away).unwrap();
    fs::create_dir(place.path()).unwrap();
    file.write(&[block("e")], || vec![a.clone()]).unwrap_err();
    fs::remove_dir(place.path()).unwrap();
    file.write(from_ref(&b), || vec![a.clone()]).unwrap();
    assert_eq!(place.kept(), sorted(vec![a, b]));
}

/// The link was replaced, and the volume behind it got nothing.
#[test]
fn a_link_is_followed_and_stays() {
    let (place, volume) = (Place::new(), Place::new());
    std::os::unix::fs::symlink(volume.path(), place.path()).unwrap();
    check(&place.path(), 10).unwrap();
    let a = block("a");
    place.open().0.write(from_ref(&a), Vec::new).unwrap();
    assert!(place.path().symlink_metadata().unwrap().is_symlink());
    assert_eq!(volume.open().1, from_ref(&a));
    assert_eq!(place.open().1, [a]);
    fs::remove_file(place.path()).unwrap();
    std::os::unix::fs::symlink("revoked", place.path()).unwrap();
    assert!(
        check(&place.path(), 10).unwrap_err().contains("links"),
        "a circle"
    );
    fs::remove_file(place.path()).unwrap();
    std::os::unix::fs::symlink("nowhere/revoked", place.path()).unwrap();
    assert!(check(&place.path(), 10).unwrap_err().contains("no such folder"));
}

/// The start failed where `check` was content, and its words named the wrong file.
#[test]
fn a_folder_in_the_way_of_the_new_file_is_told_by_its_name() {
    let place = Place::new();
    place.open();
    let new = place.0.path().join("revoked.new");
    fs::create_dir(&new).unwrap();
    for said in [
        check(&place.path(), 10).unwrap_err(),
        RevokedFile::open(&place.path(), 10).map(drop).unwrap_err(),
    ] {
        assert!(said.contains(&*new.to_string_lossy()), "{said}");
    }
    // What is left of an attempt to write it, and a link, are removed.
    fs::remove_dir(&new).unwrap();
    std::os::unix::fs::symlink(place.0.path(), &new).unwrap();
    check(&place.path(), 10).unwrap();
    place.open();
    fs::write(&new, "cut off").unwrap();
    check(&place.path(), 10).unwrap();
    place.open();
    assert!(!new.exists());
}

#[test]
fn two_instances_do_not_have_one_file() {
    let place = Place::new();
    let (mut file, _) = place.open();
    let refused = || RevokedFile::open(&place.path(), 10).map(drop).unwrap_err();
    assert!(refused().contains("another process"));
    // Whoever has it writes it anew now and then.
    file.distrust();
    file.write(&[block("a")], Vec::new).unwrap();
    assert!(refused().contains("another process"));
    check(&place.path(), 10).unwrap();
    drop(file);
    assert_eq!(place.open().1.len(), 1);
}

/// The start failed where `check` was content.
#[test]
fn the_sticky_bit_keeps_others_from_replacing_the_file() {
    let sticky = 0o41_777;
    for (mode, of_folder, of_file, own, may) in [
        (sticky, 1, 2, 3, false),
        (sticky, 3, 2, 3, true),
        (sticky, 1, 3, 3, true),
        (sticky, 1, 2, 0, true),
        (0o40_777, 1, 2, 3, true),
    ] {
        assert_eq!(
            place::may_replace(mode, of_folder, of_file, own),
            may,
            "{mode:o} {of_folder} {of_file}"
        );
    }
}

#[test]
fn what_is_found_in_the_file_is_told() {
    let place = Place::new();
    let (mut file, _) = place.open();
    let (a, b) = (block("a"), block("b"));
    let written = file.write(from_ref(&a), Vec::new).unwrap();
    assert!(written.is_empty(), "nothing was read");
    fs::write(
        place.path(),
        place.text() + &serde_json::to_string(&b).unwrap() + "\n",
    )
    .unwrap();
    let found = file.write(from_ref(&a), Vec::new).unwrap();
    assert_eq!(found, sorted(vec![a, b]));
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let place = Place::new();
    let (mut file, _) = place.open();
    let one = block("a");
    let often = vec![one.clone(); SLACK_LINES / 2];
    for _ in 0..5 {
        file.write(&often, || vec![one.clone()]).unwrap();
    }
    assert!(place.text().lines().count() <= SLACK_LINES + 3);
    assert_eq!(place.kept(), [one]);
}
