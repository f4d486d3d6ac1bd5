//! Compiles the page that `scripts/ui build` made (`ui/dist`) into the program. If it was not made, the build warns, and the program
//! says at `/` how to get it. Knows no route: it writes a table of names and contents for `src/http/page/built.rs`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("ui/dist");
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
    let mut table = String::from("&[\n");
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
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("page.rs"), table)
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
