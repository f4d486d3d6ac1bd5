//! The place of `auth.revoked_file`: a link is followed, since the new file that replaces the old one has to be on the
//! same volume; the file must be replaceable there; and two instances must not share it. Knows no line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::{folder_of, refused};

/// How many links may lead to each other.
const LINKS_MAX: usize = 40;
/// In a folder with this bit only its owner and a file's may remove the file.
const STICKY: u32 = 0o1000;

/// The file that `path` means.
pub(super) fn of(path: &Path) -> Result<PathBuf, String> {
    let mut found = path.to_owned();
    for _ in 0..LINKS_MAX {
        if found.file_name().is_none() || found.as_os_str().as_bytes().ends_with(b"/") {
            return Err(format!("{}: expected a file", path.display()));
        }
        match found.read_link() {
            Ok(target) => found = folder_of(&found).join(target),
            // It is no link, or nothing yet; or whoever opens it says what is wrong.
            Err(_) => return Ok(found),
        }
    }
    Err(format!("{}: too many links lead on", path.display()))
}

/// Whether this process may put another file in the place of `path`, as far as its owner matters.
///
/// # Errors
/// In words.
pub(super) fn check_owner(folder: &Path, path: &Path) -> Result<(), String> {
    let of_file = match path.symlink_metadata() {
        Ok(metadata) => metadata.uid(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(path, &error)),
    };
    let of_folder = folder.metadata().map_err(|error| refused(folder, &error))?;
    match may_replace(of_folder.mode(), of_folder.uid(), of_file, geteuid().as_raw()) {
        true => Ok(()),
        false => Err(format!(
            "{}: is another user's, and its folder has the sticky bit, so that it cannot be replaced; expected another folder, or \
             the file to be this user's",
            path.display()
        )),
    }
}

/// Refuses a folder where the file is to be written that then replaces the one in force: it cannot be removed as a file can.
///
/// # Errors
/// In words.
pub(super) fn expect_no_folder(new: &Path) -> Result<(), String> {
    let is_folder = new.symlink_metadata().is_ok_and(|found| found.is_dir());
    match is_folder {
        true => Err(format!(
            "{}: is a folder, and Herald writes a file there that then replaces the one without .new; expected nothing, or a file: \
             remove or rename the folder",
            new.display()
        )),
        false => Ok(()),
    }
}

/// The rule of the sticky bit.
pub(super) fn may_replace(folder_mode: u32, of_folder: u32, of_file: u32, own: u32) -> bool {
    folder_mode & STICKY == 0 || [0, of_folder, of_file].contains(&own)
}

/// Refuses a file that another process has locked: it belongs to one instance alone. A file system without locks has none.
///
/// # Errors
/// In words.
pub(super) fn expect_free(path: &Path) -> Result<(), String> {
    match OpenOptions::new().append(true).open(path) {
        Ok(file) => match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(format!(
                "{}: another process has this file; expected one for each instance",
                path.display()
            )),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(path, &error)),
    }
}

/// Says that `file` belongs to this process, as long as it is open.
pub(super) fn lock(file: &File) {
    let locked: Result<(), io::Error> = file.try_lock().map_err(Into::into);
    if let Err(error) = locked {
        tracing::debug!(%error, "auth.revoked_file cannot be locked");
    }
}
