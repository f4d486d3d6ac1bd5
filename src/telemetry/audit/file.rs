//! `audit.file`: a file to which lines are appended, and its rotation. Before each line its name is looked up, and if
//! the file has been moved or removed, the line goes to a new file with that name (logrotate's `create`); writing
//! continues in a file that was truncated in place (`copytruncate`). No signal is needed. Knows no line.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::FileError;
use super::complaint::Complaint;
use crate::setting::as_text;

/// `audit.file`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `-`: standard error, beside the log.
    Stderr,
    /// The file at this path.
    File(PathBuf),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("-"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self::Stderr),
            "" => Err("expected a file, or - for standard error".into()),
            path => Ok(Self::File(path.into())),
        }
    }
}

as_text!(Output);

/// Who may read a file that is made: its owner, and its group.
const MODE: u32 = 0o640;

/// Whether lines can be appended to `path`, or a file be made there. Leaves none behind: where there is none, it makes one
/// of another name beside it and removes that, since an instance may be about to make its own.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    match path.metadata() {
        Ok(metadata) => {
            refuse_other_kinds(path, &metadata)?;
            open(path).map(drop)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            if let Ok(target) = path.read_link() {
                // It is made where the link leads. No circle: that is an error of its own.
                return check(&folder.join(target));
            }
            if !folder.is_dir() {
                let words = format!("{}: there is no such folder", folder.display());
                return Err(FileError(words));
            }
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(not_appended_to(path));
            }
            try_folder(folder).map_err(|error| refused(path, &error))
        }
        Err(error) => Err(refused(path, &error)),
    }
}

/// Makes a file in `folder`, and removes it.
fn try_folder(folder: &Path) -> io::Result<()> {
    let name = format!(".herald-check-{}-{:x}", std::process::id(), fastrand::u64(..));
    let tried = folder.join(name);
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(MODE).open(&tried)?;
    std::fs::remove_file(&tried)
}

fn not_appended_to(path: &Path) -> FileError {
    FileError(format!(
        "{}: expected a file that can be appended to, or - for standard error",
        path.display()
    ))
}

fn refused(path: &Path, error: &io::Error) -> FileError {
    FileError(format!("{}: {error}", path.display()))
}

/// To open a pipe would wait for its reader, and to write to it as well.
fn refuse_other_kinds(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    let kind = metadata.file_type();
    match kind.is_file() || kind.is_char_device() {
        true => Ok(()),
        false => Err(not_appended_to(path)),
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    if let Ok(metadata) = path.metadata() {
        refuse_other_kinds(path, &metadata)?;
    }
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(MODE).open(path);
    opened.map_err(|error| refused(path, &error))
}

/// An open file, and the name that it is looked up by.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    complaint: Complaint,
}

impl Appended {
    /// Opens the file at `path`, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let file = open(path)?;
        Ok(Self {
            path: path.into(),
            file,
            complaint: Complaint::default(),
        })
    }

    /// Follows the name if it names another file by now, or none.
    fn follow(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let named = self.path.metadata();
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            return Ok(());
        }
        match open(&self.path) {
            Ok(file) => self.file = file,
            // Moved away: it is still there to be read.
            Err(error) if ours.nlink() > 0 => {
                if let Some(left_out) = self.complaint.pass() {
                    tracing::warn!(
                        %error,
                        left_out,
                        "audit.file was moved, and none can be made in its place: lines go on to the moved one"
                    );
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    /// One whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.follow()?;
        self.file.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_file_is_followed_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut file = Appended::open(&path).unwrap();
        assert_eq!(file.file.metadata().unwrap().mode() & 0o777 & !MODE, 0);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        file.write_all(b"1\n").unwrap();
        // Moved, as logrotate does without `copytruncate`.
        std::fs::rename(&path, &moved).unwrap();
        file.write_all(b"2\n").unwrap();
        assert_eq!((&*read(&moved), &*read(&path)), ("1\n", "2\n"));
        // Cut, as with it.
        File::create(&path).unwrap();
        file.write_all(b"3\n").unwrap();
        assert_eq!(read(&path), "3\n");
        // Removed, and made by somebody else.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "0\n").unwrap();
        file.write_all(b"4\n").unwrap();
        assert_eq!(read(&path), "0\n4\n");
        // Without a place for a new one the old one goes on, as long as it is anywhere.
        std::fs::remove_file(&moved).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        std::fs::create_dir(&path).unwrap();
        file.write_all(b"5\n").unwrap();
        assert_eq!(read(&moved), "0\n4\n5\n");
        std::fs::remove_file(&moved).unwrap();
        assert!(file.write_all(b"6\n").is_err());
    }

    #[test]
    fn what_cannot_be_appended_to_is_refused_before_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        std::fs::write(inside("file"), "").unwrap();
        assert_eq!(check(&inside("file")), Ok(()));
        assert_eq!(check(&inside("new")), Ok(()));
        std::os::unix::fs::symlink("elsewhere", inside("link")).unwrap();
        assert_eq!(check(&inside("link")), Ok(()));
        let names = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 2, "the file and the link alone");
        assert_eq!(check(Path::new("/dev/null")), Ok(()));
        for (path, words) in [
            (inside("none/new"), "no such folder"),
            (inside("file/new"), "Not a directory"),
            (folder.path().into(), "expected a file"),
            (inside("new/"), "expected a file"),
            // Nobody makes files there, not even root.
            ("/proc/audit".into(), "/proc/audit: "),
            ("/sys/audit".into(), "/sys/audit: "),
        ] {
            let error = check(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(open(&path).is_err());
        }
        let pipe = inside("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert!(check(&pipe).is_err() && open(&pipe).is_err());
    }
}
