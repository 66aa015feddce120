//! What the subcommands do.

use anyhow::Result;

use crate::cli::{Cli, Command};

mod bench;
mod export;
mod key;
mod run;
pub mod setup;
mod spec;
mod status_line;
mod verify;

/// Carries out a command line.
///
/// # Errors
/// Whatever a person should read.
pub fn execute(cli: Cli) -> Result<()> {
    match cli.command {
        None => run::run(&cli.run),
        Some(Command::Verify(args)) => verify::verify(&args),
        Some(Command::Key(command)) => key::key(&command),
        Some(Command::ExportCheckpoint(args)) => export::export(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::BuildSpec(args)) => spec::build_spec(&args),
    }
}
