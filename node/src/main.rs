//! The `descent` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use descent_node::cli::Cli;
use descent_node::command;

/// glibc's allocator keeps a heap of its own for each thread, and in each what the largest checkpoint once took there.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
