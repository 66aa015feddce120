//! The `descent` binary from outside: command line, signals, crashes, RPC; and whole chains through the library.

mod chains;
mod crash;
mod damage;
mod determinism;
mod errors;
mod full_disk;
mod mine;
mod network;
mod reorg;
mod rpc;
mod support;
mod tampered;
mod transfers;
