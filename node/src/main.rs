//! The `descent` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use descent_node::cli::Cli;
use descent_node::command;

fn main() -> ExitCode {
    match command::execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what failed, then why.
            // Where nobody reads it, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
