//! What the subcommands do.

use std::fmt::Display;
use std::io::Write;

use anyhow::{Context, Result};

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

/// Writes an answer to standard output. `println!` would panic where nobody reads it any more.
fn answer(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}
