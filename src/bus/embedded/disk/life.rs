//! The owner of the database, and the life of the history that it holds. Knows no record.
//!
//! **Epoch.** A notification with a position was synced before anybody learned of it, so neither a killed process nor a
//! power failure takes positions back, and the epoch stays. It changes if the file is replaced by another one, such as
//! a copy: the copy may be older than what clients have seen, and would give their positions to other notifications. A
//! copy has another inode or another birth time. An older state of the same inode (`cp` over it, a snapshot of the
//! disk) is not noticed.

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::store::{FORMAT, NUMBERS};

/// Epochs in one millisecond of Unix time: users' count from the middle.
const EPOCHS_PER_MS: u64 = 1_000;

const FORMAT_NAME: &str = "format";
const EPOCH: &str = "epoch";
const INODE: &str = "inode";
const BORN: &str = "born";

/// What tells a file from its copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) born_ns: u64,
}

/// How a history begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// There was none.
    New(u64),
    /// As it was left.
    Continued(u64),
    /// The file is a copy.
    Copied(u64),
}

impl Life {
    /// The epochs of both kinds.
    pub(super) fn epochs(self) -> [u64; 2] {
        let (Self::New(epoch) | Self::Continued(epoch) | Self::Copied(epoch)) = self;
        [epoch, epoch.saturating_add(EPOCHS_PER_MS / 2)]
    }
}

/// Looks whose `database` is, and notes in it that it is the one `identity` names.
///
/// # Errors
/// It is not Herald's, or of a newer one; in words.
pub(super) fn begin(database: &Database, identity: Identity, now_ms: u64) -> Result<Life, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let read = database.begin_read().map_err(|error| text(&error))?;
    let found = look(&read)?;
    drop(read);
    let fresh = now_ms.saturating_mul(EPOCHS_PER_MS);
    let life = match found {
        None => Life::New(fresh),
        Some((epoch, known)) if known == identity => return Ok(Life::Continued(epoch)),
        Some((epoch, _)) => Life::Copied(fresh.max(epoch.saturating_add(EPOCHS_PER_MS))),
    };
    note(database, life, identity).map_err(|error| text(&error))?;
    Ok(life)
}

/// Begins a new life: what was synced is not there any more.
pub(super) fn renew(database: &Database, identity: Identity, now_ms: u64) -> Result<(), redb::Error> {
    note(
        database,
        Life::New(now_ms.saturating_mul(EPOCHS_PER_MS)),
        identity,
    )
}

/// Whether this Herald can use the database that `read` sees.
///
/// # Errors
/// In words.
pub(super) fn check(read: &ReadTransaction) -> Result<(), String> {
    look(read).map(drop)
}

/// Its epoch, and which file it was. `None`: it is empty.
fn look(read: &ReadTransaction) -> Result<Option<(u64, Identity)>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    if read.list_tables().map_err(|error| text(&error))?.next().is_none() {
        return Ok(None);
    }
    let other = || "expected a history of Herald; this is a database of another program".to_owned();
    let numbers = read.open_table(NUMBERS).map_err(|_| other())?;
    let number = |name| numbers.get(name).ok().flatten().map(|found| found.value());
    match number(FORMAT_NAME) {
        Some(FORMAT) => {}
        Some(newer) => {
            return Err(format!(
                "a history of format {newer}, of a newer Herald; this one reads format {FORMAT}"
            ));
        }
        None => return Err(other()),
    }
    let identity = Identity {
        inode: number(INODE).ok_or_else(other)?,
        born_ns: number(BORN).ok_or_else(other)?,
    };
    Ok(Some((number(EPOCH).ok_or_else(other)?, identity)))
}

fn note(database: &Database, life: Life, identity: Identity) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut numbers = write.open_table(NUMBERS)?;
        let [epoch, _] = life.epochs();
        let noted = [
            (FORMAT_NAME, FORMAT),
            (EPOCH, epoch),
            (INODE, identity.inode),
            (BORN, identity.born_ns),
        ];
        for (name, number) in noted {
            numbers.insert(name, number)?;
        }
    }
    write.commit()?;
    Ok(())
}
