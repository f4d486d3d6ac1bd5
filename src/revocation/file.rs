//! `auth.revoked_file`: the revocations of an instance on a disk. The first line says whose the file is, and each further one is a
//! revocation. New ones are appended and synced; now and then, and after whatever went wrong, the file is replaced by a shorter
//! one. Everything here blocks on the file system, and each error says what was wrong. Knows no queue and no bus.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::auth::revoked::entry::{Revocation, RevocationId};
use crate::auth::revoked::{latest_end_ms, room};
use crate::envelope::unix_ms;

#[cfg(test)]
mod tests;

/// Who may read the file: its owner. It names users.
const MODE: u32 = 0o600;
/// The longest line. A revocation's is shorter, whatever its names are.
const LINE_MAX_BYTES: u64 = 64 << 10;
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

/// What keeps an instance from using the file at `path`, as far as that can be told without writing to it.
///
/// # Errors
/// In words, for whoever runs Herald.
pub(crate) fn check(path: &Path, most: usize) -> Result<(), String> {
    if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(format!("{}: expected a file", path.display()));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(format!("{}: there is no such folder", folder.display()));
    }
    // The file is replaced by another one from time to time.
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| refused(folder, &io::Error::from(error)))?;
    read(path, most).map(drop)
}

impl RevokedFile {
    /// Opens the file at `path`, or makes it, and gives what is in force by it.
    ///
    /// # Errors
    /// As of [`check`], and those of writing.
    pub(super) fn open(path: &Path, most: usize) -> Result<(Self, Vec<Revocation>), String> {
        let kept = read(path, most)?;
        let tail = write_anew(path, &kept).map_err(|error| refused(path, &error))?;
        let file = Self {
            path: path.to_owned(),
            most,
            tail: Some(tail),
        };
        Ok((file, kept.into_values().collect()))
    }

    /// The next [`write`](Self::write) writes everything.
    pub(super) fn distrust(&mut self) {
        self.tail = None;
    }

    /// Writes `new`; and `all` too if the file is not the one that was written before, if the last time has failed, or if too many
    /// of its lines say nothing any more. They are on the disk when this returns.
    ///
    /// # Errors
    /// In words. The file may then have `new`, or not.
    pub(super) fn write(
        &mut self,
        new: &[Revocation],
        all: impl FnOnce() -> Vec<Revocation>,
    ) -> Result<(), String> {
        // In front of everything that can fail.
        let tail = self.tail.take();
        if let Some(mut tail) = tail.filter(|tail| tail.is_at(&self.path) && tail.has_room(new.len())) {
            tail.append(new).map_err(|error| refused(&self.path, &error))?;
            self.tail = Some(tail);
            return Ok(());
        }
        let mut kept = read(&self.path, self.most)?;
        all()
            .into_iter()
            .chain(new.iter().cloned())
            .for_each(|one| join(&mut kept, one));
        let tail = write_anew(&self.path, &kept).map_err(|error| refused(&self.path, &error))?;
        self.tail = Some(tail);
        Ok(())
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

    fn append(&mut self, new: &[Revocation]) -> io::Result<()> {
        let mut text = Vec::new();
        for one in new {
            line(&mut text, one)?;
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Nobody is told that it is written, so it had better not be. If this fails as well, it may be there.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        self.lines += new.len();
        Ok(())
    }
}

/// The revocations of the file at `path` that have not ended. None if there is no file, or an empty one.
fn read(path: &Path, most: usize) -> Result<Kept, String> {
    let shown = path.display();
    match path.metadata() {
        // Opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return Err(format!("{shown}: expected a file")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::new()),
        Err(error) => return Err(refused(path, &error)),
    }
    let file = File::open(path).map_err(|error| refused(path, &error))?;
    let (mut reader, mut text) = (BufReader::new(file), Vec::new());
    let (now, latest) = (unix_ms(), latest_end_ms());
    let (mut kept, mut damaged) = (Kept::new(), None);
    for number in 1_usize.. {
        text.clear();
        let mut next = (&mut reader).take(LINE_MAX_BYTES);
        let count = next.read_until(b'\n', &mut text);
        if count.map_err(|error| refused(path, &error))? == 0 {
            break;
        }
        if number == 1 {
            expect_head(path, &text)?;
            continue;
        }
        let Ok(one) = serde_json::from_slice::<Revocation>(&text) else {
            damaged.get_or_insert(number);
            continue;
        };
        // A write that was cut off leaves its traces at the end alone.
        if let Some(number) = damaged {
            return Err(format!(
                "{shown}: line {number} is no revocation that this version knows; expected it corrected or removed"
            ));
        }
        if one.until_ms > latest {
            return Err(format!(
                "{shown}: line {number} ends more than a year from now; expected the right time on this host's clock"
            ));
        }
        if one.until_ms > now {
            join(&mut kept, one);
        }
        if kept.len() > room(most) {
            return Err(format!(
                "{shown}: expected at most {} revocations in force (auth.revocations is {most})",
                room(most)
            ));
        }
    }
    if let Some(line) = damaged {
        tracing::warn!(
            file = %shown, line,
            "the end of auth.revoked_file is damaged and passed over: a write was cut off before it was acknowledged"
        );
    }
    Ok(kept)
}

fn expect_head(path: &Path, text: &[u8]) -> Result<(), String> {
    let shown = path.display();
    match serde_json::from_slice::<Head>(text) {
        Ok(head) if head.herald == "revocations" && head.version == VERSION => Ok(()),
        Ok(head) if head.herald == "revocations" => Err(format!(
            "{shown}: version {} of the file, which this Herald does not read; expected {VERSION}",
            head.version
        )),
        _ => Err(format!(
            "{shown}: expected revocations that Herald has written, or no file; this is another file"
        )),
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
fn write_anew(path: &Path, kept: &Kept) -> io::Result<Tail> {
    let mut name = OsString::from(path);
    name.push(".new");
    let new = PathBuf::from(name);
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).mode(MODE).open(&new)?;
    let written = fill(&file, kept).and_then(|()| std::fs::rename(&new, path));
    if let Err(error) = written {
        // Whatever is left of it is removed before the next attempt.
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    File::open(folder_of(path))?.sync_all()?;
    let metadata = file.metadata()?;
    Ok(Tail {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        lines: kept.len(),
        lines_max: kept.len().saturating_mul(2).saturating_add(SLACK_LINES),
        file,
    })
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
