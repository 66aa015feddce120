//! The `descent` binary.

use std::process::ExitCode;

use clap::Parser;
use descent_node::cli::Cli;
use descent_node::command;

fn main() -> ExitCode {
    match command::execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what failed, then why.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
