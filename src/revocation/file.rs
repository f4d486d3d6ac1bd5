//! `auth.revoked_file`: an instance's revocations on disk. The first line identifies the owner of the file, and each
//! further one is a revocation. New ones are appended and synced; now and then, and after any error, the file is
//! replaced by a shorter one. Everything here blocks on the file system, and each error says what was wrong. Knows no
//! queue and no bus.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::auth::revoked::entry::{Revocation, RevocationId};

mod place;
mod read;

use read::read;

#[cfg(test)]
mod tests;

/// Who may read the file: its owner. It names users.
const MODE: u32 = 0o600;
/// How many lines may be superseded or ended, beyond as many as there are revocations, before the file is written anew.
const SLACK_LINES: usize = 10_000;
/// What this version writes, and reads.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    /// `revocations`
    herald: String,
    version: u32,
}

/// Revocations by id.
type Kept = BTreeMap<RevocationId, Revocation>;

/// The file, open for more.
pub(super) struct RevokedFile {
    path: PathBuf,
    /// `auth.revocations`
    most: usize,
    /// `None`: it has to be written anew.
    tail: Option<Tail>,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// What a test does to the disk.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Faults {
    /// Whether the disk does not answer.
    pub(super) hangs: std::sync::Arc<std::sync::atomic::AtomicBool>,
    /// Whether what was written last cannot be synced, and not be taken back.
    pub(super) fails: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

/// Whether something that was not written may be in the file all the same.
#[derive(Debug, Clone, Copy)]
enum IsThere {
    No,
    Perhaps,
}

/// Where lines are appended.
struct Tail {
    file: File,
    /// What tells the file from another one at the same path.
    device: u64,
    inode: u64,
    bytes: u64,
    lines: usize,
    lines_max: usize,
}

/// Why something is not written, in words.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it is in the file.
    Not(String),
    /// It may be in the file.
    Perhaps(String),
}

/// What keeps an instance from using the file at `path`, as far as that can be told without writing to it.
///
/// # Errors
/// In words, for whoever runs Herald.
pub(crate) fn check(path: &Path, most: usize) -> Result<(), String> {
    let path = &place::of(path)?;
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(format!("{}: there is no such folder", folder.display()));
    }
    // The file is replaced by another one from time to time.
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| refused(folder, &io::Error::from(error)))?;
    for replaced in [path, &beside(path)] {
        place::check_owner(folder, replaced)?;
    }
    place::expect_no_folder(&beside(path))?;
    read(path, most).map(drop)
}

impl RevokedFile {
    /// Opens the file at `path`, or makes it, and gives what is in force by it.
    ///
    /// # Errors
    /// As of [`check`], and those of writing.
    pub(super) fn open(path: &Path, most: usize) -> Result<(Self, Vec<Revocation>), String> {
        let path = place::of(path)?;
        place::expect_free(&path)?;
        let kept = read(&path, most)?;
        let tail = write_anew(&path, &kept).map_err(|(_, error)| refused(&path, &error))?;
        let file = Self {
            path,
            most,
            tail: Some(tail),
            #[cfg(test)]
            faults: Faults::default(),
        };
        Ok((file, kept.into_values().collect()))
    }

    /// The next [`write`](Self::write) writes everything.
    pub(super) fn distrust(&mut self) {
        self.tail = None;
    }

    /// Writes `new`; and `all` too if the file is not the one that was written before, if the last time has failed, or if too many
    /// of its lines say nothing any more. They are on the disk when this returns. Gives what it found in the file when it wrote
    /// everything: somebody else may have written there.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) fn write(
        &mut self,
        new: &[Revocation],
        all: impl FnOnce() -> Vec<Revocation>,
    ) -> Result<Vec<Revocation>, Failed> {
        // In front of everything that can fail.
        let tail = self.tail.take();
        #[cfg(test)]
        while self.faults.hangs.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::yield_now();
        }
        if let Some(mut tail) = tail.filter(|tail| tail.is_at(&self.path) && tail.has_room(new.len())) {
            tail.append(new).map_err(|failed| self.failed(failed))?;
            #[cfg(test)]
            if self.faults.fails.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(Failed::Perhaps("a fault".into()));
            }
            self.tail = Some(tail);
            return Ok(Vec::new());
        }
        let mut kept = read(&self.path, self.most).map_err(Failed::Not)?;
        let found = kept.values().cloned().collect();
        all()
            .into_iter()
            .chain(new.iter().cloned())
            .for_each(|one| join(&mut kept, one));
        let tail = write_anew(&self.path, &kept).map_err(|failed| self.failed(failed))?;
        self.tail = Some(tail);
        Ok(found)
    }

    fn failed(&self, (is_there, error): (IsThere, io::Error)) -> Failed {
        let words = refused(&self.path, &error);
        match is_there {
            IsThere::No => Failed::Not(words),
            IsThere::Perhaps => Failed::Perhaps(words),
        }
    }
}

impl Tail {
    /// Whether the file is still the one at `path`: somebody may have moved or replaced it.
    fn is_at(&self, path: &Path) -> bool {
        let found = path.metadata();
        found.is_ok_and(|found| {
            (found.dev(), found.ino(), found.len()) == (self.device, self.inode, self.bytes)
        })
    }

    fn has_room(&self, lines: usize) -> bool {
        self.lines.saturating_add(lines) <= self.lines_max
    }

    fn append(&mut self, new: &[Revocation]) -> Result<(), (IsThere, io::Error)> {
        let mut text = Vec::new();
        for one in new {
            line(&mut text, one).map_err(|error| (IsThere::No, error))?;
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // It is taken back, and that is on the disk, or nobody knows.
            let taken_back = self.file.set_len(self.bytes).and_then(|()| self.file.sync_data());
            let is_there = match taken_back {
                Ok(()) => IsThere::No,
                Err(_) => IsThere::Perhaps,
            };
            return Err((is_there, error));
        }
        self.bytes += text.len() as u64;
        self.lines += new.len();
        Ok(())
    }
}

fn join(kept: &mut Kept, one: Revocation) {
    match kept.get(&one.id) {
        Some(known) if *known >= one => {}
        _ => {
            kept.insert(one.id, one);
        }
    }
}

/// Puts a new file with `kept` in the place of the one at `path`: whoever reads sees the old one or the new one as a whole.
fn write_anew(path: &Path, kept: &Kept) -> Result<Tail, (IsThere, io::Error)> {
    let new = beside(path);
    // Whoever reads the words is to know that it is not about the file itself.
    let of_new = |error: io::Error| (IsThere::No, io::Error::new(error.kind(), refused(&new, &error)));
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(of_new(error));
    }
    let mut options = OpenOptions::new();
    let opened = options.append(true).create_new(true).mode(MODE).open(&new);
    let file = opened.map_err(of_new)?;
    place::lock(&file);
    let written = fill(&file, kept).and_then(|()| std::fs::rename(&new, path));
    if let Err(error) = written {
        // Whatever is left of it is removed before the next attempt.
        let _ = std::fs::remove_file(&new);
        return Err((IsThere::No, error));
    }
    let perhaps = |error| (IsThere::Perhaps, error);
    let folder = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    folder.map_err(perhaps)?;
    let metadata = file.metadata().map_err(perhaps)?;
    Ok(Tail {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        lines: kept.len(),
        lines_max: kept.len().saturating_mul(2).saturating_add(SLACK_LINES),
        file,
    })
}

/// The file that takes the place of the one at `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

fn fill(file: &File, kept: &Kept) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let head = Head {
        herald: "revocations".into(),
        version: VERSION,
    };
    line(&mut out, &head)?;
    for one in kept.values() {
        line(&mut out, one)?;
    }
    out.flush()?;
    drop(out);
    file.sync_all()
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn refused(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
