//! The files of contexts, below `$XDG_CONFIG_HOME/herald`: `contexts/NAME.toml`, and `context`, which names the
//! selected one. Only their owner may read them. Errors repeat nothing of their content.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::ClientError;
use super::super::credentials::Environment;
use super::{Context, Name};

/// The largest file of a context.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// The folder with all contexts of this user.
pub(in crate::cli) struct Contexts {
    folder: PathBuf,
}

impl Contexts {
    /// `$XDG_CONFIG_HOME/herald`, else `$HOME/.config/herald`. `None`: neither variable says where.
    pub(in crate::cli) fn of(env: Environment<'_>) -> Option<Self> {
        // The specification has relative paths ignored.
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
        Some(Self {
            folder: base.join("herald"),
        })
    }

    /// The same, where there have to be contexts.
    ///
    /// # Errors
    /// Nothing says where they are.
    pub(in crate::cli) fn required(env: Environment<'_>) -> Result<Self, ClientError> {
        let expected =
            "contexts are files below $XDG_CONFIG_HOME or $HOME/.config: set one of these variables";
        Self::of(env).ok_or_else(|| ClientError::Usage(expected.into()))
    }

    fn contexts(&self) -> PathBuf {
        self.folder.join("contexts")
    }

    /// Its file.
    pub(in crate::cli) fn path(&self, name: &Name) -> PathBuf {
        self.contexts().join(format!("{name}.toml"))
    }

    fn selection(&self) -> PathBuf {
        self.folder.join("context")
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(in crate::cli) fn names(&self) -> Result<Vec<Name>, ClientError> {
        let folder = self.contexts();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(&folder, &error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| at(&folder, &error))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".toml"));
            names.extend(name.and_then(|name| name.parse::<Name>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// One context.
    ///
    /// # Errors
    /// There is none, or its file cannot be used. The words repeat nothing of what it holds.
    pub(in crate::cli) fn read(&self, name: &Name) -> Result<Context, ClientError> {
        let path = self.path(name);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let words = format!("there is no context {name}: `herald context ls` lists them");
                return Err(ClientError::Usage(words));
            }
            file => file.map_err(|error| at(&path, &error))?,
        };
        let mode = file
            .metadata()
            .map_err(|error| at(&path, &error))?
            .permissions()
            .mode();
        let mut text = zeroize::Zeroizing::new(String::new());
        let read = file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| at(&path, &error))?;
        if text.len() as u64 > FILE_MAX_BYTES {
            return Err(at(&path, &"a context has at most 64 KiB"));
        }
        let context: Context = toml::from_str(&text).map_err(|error| at(&path, &error.message()))?;
        if context.holds_a_secret() && mode & 0o077 != 0 {
            let words = "it holds a secret, and others may read it: chmod 600";
            return Err(at(&path, &words));
        }
        Ok(context)
    }

    /// Stores a context in a file that its owner alone may read. One that is there is replaced only if `replaces`.
    ///
    /// # Errors
    /// There is one of this name, or it cannot be written.
    pub(in crate::cli) fn write(
        &self,
        name: &Name,
        context: &Context,
        replaces: bool,
    ) -> Result<(), ClientError> {
        let path = self.path(name);
        if !replaces && path.exists() {
            let words = format!("there is a context {name} already: --replace puts this one in its place");
            return Err(ClientError::Usage(words));
        }
        let text = zeroize::Zeroizing::new(context.to_toml()?);
        let folder = self.contexts();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| at(&folder, &error))?;
        replace(&path, &text).map_err(|error| at(&path, &error))
    }

    /// The one that counts where nothing else says where Herald is.
    ///
    /// # Errors
    /// The file that says so cannot be read.
    pub(in crate::cli) fn selected(&self) -> Result<Option<Name>, ClientError> {
        let path = self.selection();
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| at(&path, &error))?,
        };
        let mut text = String::new();
        let read = file.take(FILE_MAX_BYTES).read_to_string(&mut text);
        read.map_err(|error| at(&path, &error))?;
        let name = text.trim().parse();
        name.map(Some).map_err(|expected: String| at(&path, &expected))
    }

    /// Selects one, or none.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be written.
    pub(in crate::cli) fn select(&self, name: Option<&Name>) -> Result<(), ClientError> {
        let path = self.selection();
        let done = match name {
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            Some(name) => {
                self.read(name)?;
                replace(&path, &format!("{name}\n"))
            }
        };
        done.map_err(|error| at(&path, &error))
    }

    /// Removes one. If it is selected, none is.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be removed.
    pub(in crate::cli) fn remove(&self, name: &Name) -> Result<(), ClientError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let words = format!("there is no context {name}: `herald context ls` lists them");
                return Err(ClientError::Usage(words));
            }
            removed => removed.map_err(|error| at(&path, &error))?,
        }
        match self.selected()?.as_ref() == Some(name) {
            true => self.select(None),
            false => Ok(()),
        }
    }
}

fn at(path: &Path, why: &dyn fmt::Display) -> ClientError {
    ClientError::Usage(format!("{}: {why}", path.display()))
}

/// Puts a new file, which its owner alone may read, in the place of `path` at one go.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is left over of it holds a secret, perhaps.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // Whatever the umask says.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
