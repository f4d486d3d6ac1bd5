//! `herald completions` and `herald man`: the definition of the command line for shells and for `man`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;

/// The arguments of `herald completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald completions bash > ~/.local/share/bash-completion/completions/herald
  herald completions zsh > ~/.zfunc/_herald")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The arguments of `herald man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald man | man -l -
  herald man --folder ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Writes herald.1 and one page for each command to this folder, instead of printing the first.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Prints the completions.
///
/// # Errors
/// The output fails.
pub fn completions(args: &CompletionsArgs) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "herald", &mut script);
    print(&script)
}

/// Prints the manual page, or writes all.
///
/// # Errors
/// The output fails, or the folder cannot be written to.
pub fn man(args: &ManArgs) -> io::Result<()> {
    match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            clap_mangen::generate_to(Cli::command(), folder)
        }
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page)?;
            print(&page)
        }
    }
}

/// A reader that has seen enough is not a failure.
fn print(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
