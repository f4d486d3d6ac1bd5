//! The place of the database: a file, and what must be known about it before anything is written. All of it blocks on
//! the file system, and each error says what was wrong and what is expected. Knows no table except the one that names
//! the file's owner.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError};
use rustix::fs::{Access, access, statvfs};

use super::life::{self, Identity};
use crate::task::caught_now;

/// Memory for pages of the file.
const CACHE_BYTES: usize = 32 << 20;
/// Who may read a file that is made: its owner. It has bodies in it.
const MODE: u32 = 0o600;
/// How each database of redb begins.
const MAGIC: &[u8; 4] = b"redb";

/// What a database lies in; in tests a disk that fails when it is told to.
pub(super) trait Medium: Send {
    /// Opens it, and makes it where there is none.
    ///
    /// # Errors
    /// In words, for whoever runs Herald.
    fn open(&self) -> Result<Database, String>;

    /// What tells it from a copy. Asked once it was opened.
    fn identity(&self) -> Identity;

    /// The bytes that are free beside it, if that is known.
    fn free_bytes(&self) -> Option<u64>;

    /// The bytes that it takes.
    fn bytes(&self) -> u64;
}

/// A file.
pub(super) struct OnFile(pub(super) PathBuf);

impl Medium for OnFile {
    fn open(&self) -> Result<Database, String> {
        let path = &*self.0;
        let is_new = !path.exists();
        let file = open_file(path)?;
        if is_new {
            // The name has to survive a loss of power as well.
            let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
            synced.map_err(|error| format!("the folder of {} cannot be synced: {error}", path.display()))?;
        }
        let backend = FileBackend::new(file).map_err(|error| words(path, &error))?;
        let opened = caught_now(|| {
            let shown = path.display().to_string();
            builder()
                .set_repair_callback(move |repair| {
                    let done = repair.progress();
                    tracing::info!(
                        file = shown,
                        done,
                        "history.path was not closed and is gone through"
                    );
                })
                .create_with_backend(backend)
        });
        match opened {
            Ok(database) => database.map_err(|error| words(path, &error)),
            Err(_) => Err(corrupted(path, "it cannot be read")),
        }
    }

    fn identity(&self) -> Identity {
        self.0
            .metadata()
            .map(|metadata| identity(&metadata))
            .unwrap_or_default()
    }

    fn free_bytes(&self) -> Option<u64> {
        let system = statvfs(folder_of(&self.0)).ok()?;
        Some(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn bytes(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }
}

/// What keeps an instance from using the file at `path`, as far as that can be told without writing to it.
///
/// # Errors
/// In words, for whoever runs Herald.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return check_folder(path),
        Err(error) => return Err(refused(path, &error)),
    };
    refuse_other_kinds(path, &metadata)?;
    access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| refused(path, &error.into()))?;
    if !is_database(path)? {
        return Ok(());
    }
    // redb panics on some pages that are none.
    let looked_at = caught_now(|| match builder().open_read_only(path) {
        Ok(database) => {
            let read = database
                .begin_read()
                .map_err(|error| corrupted(path, &error.to_string()))?;
            life::check(&read).map_err(|words| format!("{shown}: {words}"))
        }
        // An instance has it open, or did not come to close it: the start says more.
        Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::RepairAborted) => Ok(()),
        Err(error) => Err(words(path, &error)),
    });
    looked_at.unwrap_or_else(|_| Err(corrupted(path, "it cannot be read")))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_file(path: &Path) -> Result<File, String> {
    if let Ok(metadata) = path.metadata() {
        refuse_other_kinds(path, &metadata)?;
        is_database(path)?;
    } else {
        check_folder(path)?;
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE);
    options.open(path).map_err(|error| refused(path, &error))
}

/// Whether there is a database; an empty file becomes one.
fn is_database(path: &Path) -> Result<bool, String> {
    let mut magic = [0; MAGIC.len()];
    let file = File::open(path).map_err(|error| refused(path, &error))?;
    let read = file.take(MAGIC.len() as u64).read(&mut magic);
    match read.map_err(|error| refused(path, &error))? {
        0 => Ok(false),
        _ if magic == *MAGIC => Ok(true),
        _ => Err(format!(
            "{}: expected a history of Herald, or no file; this is another file",
            path.display()
        )),
    }
}

fn check_folder(path: &Path) -> Result<(), String> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(format!("{}: there is no such folder", folder.display()));
    }
    let may = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    may.map_err(|error| refused(path, &error.into()))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn refuse_other_kinds(path: &Path, metadata: &Metadata) -> Result<(), String> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(format!("{}: expected a file", path.display())),
    }
}

fn identity(metadata: &Metadata) -> Identity {
    let born = metadata.created().ok();
    let born = born.and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    Identity {
        inode: metadata.ino(),
        born_ns: born.map_or(0, |born| u64::try_from(born.as_nanos()).unwrap_or(u64::MAX)),
    }
}

fn refused(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// What is said of a file that is damaged.
pub(super) fn corrupted(path: &Path, why: &str) -> String {
    format!(
        "{}: the file is damaged ({why}); move it away, and a new history begins",
        path.display()
    )
}

fn words(path: &Path, error: &DatabaseError) -> String {
    let shown = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            format!("{shown}: another process has it open; expected a file of this instance alone")
        }
        DatabaseError::UpgradeRequired(version) => {
            format!("{shown}: a database of redb's format {version}, which this Herald does not read")
        }
        // redb says so of a first page that is none, too.
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            refused(path, error)
        }
        other => corrupted(path, &other.to_string()),
    }
}
