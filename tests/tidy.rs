//! The promise: the architecture's absences hold: who may not know whom (docs/architecture.md), which floor may import which,
//! what may appear nowhere, how files begin and are named, and how long they may get. Every rule is shown to fail on a text that
//! breaks it.

#![allow(unreachable_pub, reason = "a test has no callers")]

use std::fs;
use std::path::Path;

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/picture.rs"]
mod picture;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use floors::{EXCEPTIONS, FLOORS, Imports};
use rules::{RULES, breaches};
use source::Source;

/// The longest file in lines, and the longest test file.
const MOST_LINES: usize = 400;
const MOST_TEST_LINES: usize = 800;

#[test]
fn the_house_keeps_its_rules() {
    let root = root();
    let mut files = Vec::new();
    for folder in ["src", "bench", "tests", "examples"] {
        collect(root, &root.join(folder), &mut files);
    }
    assert!(files.len() > 40, "only {} files were found", files.len());
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(root.join(file)).unwrap();
        found.extend(check(file, &text));
    }
    none(&found);
}

#[test]
fn modules_import_from_below_and_never_in_a_circle() {
    let root = root();
    let (mut files, mut imports) = (Vec::new(), Imports::default());
    collect(root, &root.join("src"), &mut files);
    for file in &files {
        let text = fs::read_to_string(root.join(file)).unwrap();
        imports.add(&Source::parse(file, &text).unwrap());
    }
    let found = [
        floors::misplaced(&files),
        imports.upward(EXCEPTIONS),
        imports.circles(),
    ];
    none(&found.concat());
}

#[test]
fn every_floor_can_fail() {
    let upward = |(file, text): (&str, &str)| {
        let mut imports = Imports::default();
        imports.add(&Source::parse(file, text).unwrap());
        imports.upward(&[])
    };
    for floor in FLOORS {
        let found = upward(floor.broken);
        let named = |module: &&str| found.iter().any(|line| line.contains(&format!("`{module}`")));
        assert!(floor.modules.iter().any(named), "{}: {found:?}", floor.name);
    }
    for allowed in [
        ("src/session/driver.rs", "use crate::ws::writer::Writer;"),
        ("src/relay.rs", "use crate::probe;"),
        (
            "src/bus/nats.rs",
            "#[cfg(test)]\nmod tests { use crate::app::App; }",
        ),
        ("src/main.rs", "fn f() { herald::app::run() }"),
    ] {
        assert!(upward(allowed).is_empty(), "{allowed:?}");
    }
    let unneeded = Imports::default().upward(&[("src/ws/upgrade.rs", "http")]);
    assert_eq!(unneeded.len(), 1, "an exception that nothing needs is named");
}

#[test]
fn circles_and_misplaced_modules_are_found() {
    let mut imports = Imports::default();
    for (file, text) in [
        ("src/relay.rs", "use crate::probe;"),
        ("src/probe.rs", "fn f() { crate::drain::now() }"),
    ] {
        imports.add(&Source::parse(file, text).unwrap());
    }
    assert!(imports.circles().is_empty());
    imports.add(&Source::parse("src/drain/phase.rs", "use super::super::relay;").unwrap());
    assert_eq!(imports.circles().len(), 3, "each import of the circle is named");

    let files = ["src/lib.rs", "src/main.rs", "src/attic/door.rs"].map(str::to_owned);
    let found = floors::misplaced(&files);
    assert!(
        found
            .iter()
            .any(|line| line.contains("`attic` stands on 0 floors"))
    );
    assert!(found.iter().any(|line| line.contains("`bus` has a floor but")));
    assert!(!found.iter().any(|line| line.contains("`main`")));
}

/// With `DRAW_FLOORS` set (`scripts/floors`), draws it anew instead.
#[test]
fn the_picture_of_the_floors_is_current() {
    let file = root().join("docs/images/floors.svg");
    let drawn = picture::draw(FLOORS);
    if std::env::var_os("DRAW_FLOORS").is_some() {
        fs::write(&file, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == drawn,
        "docs/images/floors.svg is not what the table says: run scripts/floors"
    );
}

/// A document that says "this is tested by" must name a file that there is.
#[test]
fn the_tests_that_documents_cite_exist() {
    let root = root();
    let (mut seen, mut found) = (0, Vec::new());
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for test in cited_tests(line) {
                seen += 1;
                if !is_test(root, test) {
                    found.push(format!("{}:{}: no test `{test}`", path.display(), number + 1));
                }
            }
        }
    }
    none(&found);
    assert!(seen > 50, "only {seen} were found");

    let cited = "`it/places` and `src/a/tests.rs` prove it, not `item` or `src/a.rs`";
    assert_eq!(
        cited_tests(cited).collect::<Vec<_>>(),
        ["it/places", "src/a/tests.rs"]
    );
    assert!(is_test(root, "it/token/places") && is_test(root, "tests/it/revoke/"));
    assert!(is_test(root, "browser/page") && !is_test(root, "it/attic"));
}

#[test]
fn every_rule_can_fail() {
    for rule in RULES {
        let (file, text) = rule.broken;
        let source = Source::parse(file, text).unwrap();
        assert!(
            !breaches(rule, &source).is_empty(),
            "`{}` lets `{text}` pass",
            rule.name
        );
        let others: Vec<String> = RULES
            .iter()
            .filter(|other| other.name != rule.name)
            .flat_map(|other| breaches(other, &source))
            .collect();
        assert!(
            others.len() < RULES.len() / 4,
            "`{text}` breaks nearly everything: {others:?}"
        );
    }
}

#[test]
fn what_a_path_means_is_seen_wherever_it_stands() {
    // (file, text, what it names)
    for (file, text, named) in [
        ("src/a.rs", "use crate::{x::{self, y}, z as w};", "crate::x::y"),
        ("src/a.rs", "use crate::{x::{self, y}, z as w};", "crate::x"),
        ("src/a.rs", "use crate::z as w; fn f() { w::g(); }", "crate::z::g"),
        ("src/a/b.rs", "use super::c::D;", "crate::a::c::D"),
        ("src/a/b.rs", "mod t { use super::super::c; }", "crate::a::c"),
        ("src/a.rs", "mod b; fn f() { b::g() }", "crate::a::b::g"),
        ("src/main.rs", "fn f() { herald::app::run() }", "crate::app::run"),
        (
            "src/a.rs",
            "fn f() { select! { _ = tokio::spawn(x) => {} } }",
            "tokio::spawn",
        ),
        ("src/a.rs", "#[tokio::main] async fn f() {}", "tokio::main"),
        ("src/a.rs", "fn f(_: Vec<::hyper::Body>) {}", "hyper::Body"),
        ("src/a.rs", "use tokio::*;", "tokio::*"),
        ("bench/src/a/b.rs", "use super::c::D;", "herald_bench::a::c::D"),
        ("bench/src/a.rs", "use crate::b;", "herald_bench::b"),
        (
            "bench/check/src/a/b.rs",
            "use super::c::D;",
            "herald_check::a::c::D",
        ),
        (
            "bench/src/a.rs",
            "use herald::b as x; fn f() { x::c() }",
            "crate::b::c",
        ),
    ] {
        let source = Source::parse(file, text).unwrap();
        assert!(
            source.paths.iter().any(|path| path.text == named),
            "{text}: {named} not in {:?}",
            source.paths
        );
    }
}

#[test]
fn comments_strings_methods_and_test_code_name_nothing() {
    let clean = |file, text| {
        let found: Vec<String> = check(file, &format!("//! Role.\n{text}"));
        assert!(found.is_empty(), "{text}: {found:?}");
    };
    clean(
        "src/stomp/frame.rs",
        "// use tokio::net;\n/// [`crate::ws`], tokio::spawn\nfn f() {}",
    );
    clean("src/stomp/frame.rs", "const A: &str = \"tokio::spawn\";");
    clean(
        "src/stomp/frame.rs",
        "#[cfg(test)]\nmod tests { use tokio::io; }\n",
    );
    clean("src/stomp/frame.rs", "#[cfg(test)]\nuse tokio::io;\nfn f() {}");
    clean(
        "src/http/router.rs",
        "use tower::ServiceExt; fn f(r: R) { r.into_make_service(); }",
    );
    clean(
        "src/stomp/frame.rs",
        "use std::time::{Duration, Instant}; fn f(_: Instant) {}",
    );
    let behind = check(
        "src/stomp/frame.rs",
        "//! Role.\n#[cfg(test)]\nuse tokio::io;\nuse tokio::net;",
    );
    assert_eq!(behind.len(), 1, "{behind:?}");
}

#[test]
fn file_rules_can_fail() {
    let breaks = |file: &str, text: &str, words: &str| {
        let found = check(file, text);
        assert!(found.iter().any(|line| line.contains(words)), "{file}: {found:?}");
    };
    breaks("src/a.rs", "fn f() {}", "begins with");
    breaks("src/a/mod.rs", "//! Role.", "mod.rs");
    breaks("src/bus_helper.rs", "//! Role.", "file name");
    breaks("src/a.rs", &"//! Role.\n".repeat(MOST_LINES + 1), "lines");
    breaks(
        "src/a/tests.rs",
        &"//! Role.\n".repeat(MOST_TEST_LINES + 1),
        "lines",
    );
    assert!(check("src/a/tests.rs", &"//! Role.\n".repeat(MOST_LINES + 1)).is_empty());
}

/// The tests that a line of a document names: below `tests/`, with or without that, and the tests of a module of `src/`.
fn cited_tests(line: &str) -> impl Iterator<Item = &str> {
    let is_one = |word: &&str| {
        let below = ["tests/", "it/", "browser/", "clients/", "idp/"];
        let of_module = word.starts_with("src/") && word.ends_with("/tests.rs");
        !word.contains(' ') && (of_module || below.iter().any(|folder| word.starts_with(folder)))
    };
    line.split('`').skip(1).step_by(2).filter(is_one)
}

/// Whether there is a file or a folder of tests with this name. `clients/` is the folder of the packages, too.
fn is_test(root: &Path, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    let below = root
        .join("tests")
        .join(name.strip_prefix("tests/").unwrap_or(name));
    let is_there = |ending: &str| below.with_file_name(file_name(&below) + ending).exists();
    ["", ".rs", ".test.mjs"].into_iter().any(is_there) || root.join(name).exists()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Every breach in one file.
fn check(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!(
            "{file}: begins with `//!`: its role, and what it must not know"
        ));
    }
    if file.ends_with("/mod.rs") {
        found.push(format!("{file}: `foo.rs` + `foo/`, never mod.rs"));
    }
    let naming = ["manager", "helper", "helpers", "util", "utils", "service"];
    if rules::words(file)
        .iter()
        .any(|word| naming.contains(&word.as_str()))
    {
        found.push(format!(
            "{file}: the file name says nothing: never {}",
            naming.join(", ")
        ));
    }
    let most = if source::is_test_file(file) {
        MOST_TEST_LINES
    } else {
        MOST_LINES
    };
    let lines = text.lines().count();
    if lines > most {
        found.push(format!("{file}: {lines} lines, at most {most}"));
    }
    match Source::parse(file, text) {
        Ok(source) => found.extend(RULES.iter().flat_map(|rule| breaches(rule, &source))),
        Err(error) => found.push(error),
    }
    found
}

/// All Rust files below `folder`, as sorted paths from `root`. A missing folder has none.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("node_modules") {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root).unwrap_or(&path);
            files.push(inner.to_string_lossy().into_owned());
        }
    }
}
