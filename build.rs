//! Compiles the page that `scripts/ui build` made (`ui/dist`) into the program. If it was not made, the build warns, and the program
//! says at `/` how to get it. A program built without optimization reads the page from `ui/dist` when it starts, so that neither
//! waits for the other. Knows no route: it writes what `src/http/page/built.rs` includes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("ui/dist");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("page.rs");
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!("cargo::rerun-if-changed=build.rs");
        return fs::write(out, format!("Source::Folder({:?})", dist.to_string_lossy()));
    }
    // A missing path would count as changed at every build.
    let candidates = [dist.clone(), root.join("ui"), root.join("build.rs")];
    let watched = candidates.iter().find(|path| path.exists()).unwrap_or(&dist);
    println!("cargo::rerun-if-changed={}", watched.display());

    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files)?;
        files.sort();
    } else {
        println!(
            "cargo::warning=Herald is built without its page: run `scripts/ui build` first to include it"
        );
    }
    let mut table = String::from("Source::Compiled(&[\n");
    for file in &files {
        let name = file
            .strip_prefix(&dist)
            .unwrap_or(file)
            .to_string_lossy()
            .replace('\\', "/");
        // `{:?}` of a text is a literal of the language.
        let _ = writeln!(
            table,
            "    ({name:?}, include_bytes!({:?})),",
            file.to_string_lossy()
        );
    }
    table.push_str("])\n");
    fs::write(out, table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
