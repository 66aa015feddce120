//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use libp2p::{Multiaddr, PeerId};

/// A blockchain whose proof-of-work is the verifiable training of one shared neural network.
///
/// Without a subcommand, runs a node. `descent --dev --mine` starts a private chain and mines it.
#[derive(Debug, Parser)]
#[command(name = "descent", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the node.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replays and re-verifies the stored chain; exits non-zero on the first bad block.
    ///
    /// Every check that a stranger's block goes through runs again: witness, winning microbatch, samples, execution,
    /// state root, optimizer steps. The node must not be running on the same database.
    Verify(VerifyArgs),
    /// Makes or inspects account keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Writes a round's checkpoint as safetensors with Llama names.
    ///
    /// The node must not be running on the same database.
    ExportCheckpoint(ExportArgs),
    /// Measures what this machine can mine.
    Bench(BenchArgs),
    /// Prints a chain specification as JSON, for --chain to read.
    BuildSpec(SpecArgs),
}

/// Which chain and where it lies.
#[derive(Clone, Debug, Args)]
pub struct ChainArgs {
    /// Development chain: one node, one-second blocks, well-known accounts (the same as --chain dev).
    #[arg(long, conflicts_with = "chain")]
    pub dev: bool,
    /// Chain: `dev`, `local`, or a JSON file made by `descent build-spec`.
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<String>,
    /// Model of a built-in chain: tiny, nano (the default) or small.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Text to train on instead of the built-in one. Makes another chain, unless --chain is a file that names it.
    #[arg(long, value_name = "FILE")]
    pub dataset: Option<PathBuf>,
    /// Folder for all data [default: $XDG_DATA_HOME/descent or ~/.local/share/descent].
    #[arg(long, short = 'd', value_name = "DIR")]
    pub base_path: Option<PathBuf>,
    /// How much history to keep: `archive`, or a number of rounds whose states and gradients stay.
    #[arg(long, value_name = "ROUNDS", default_value = "256", value_parser = parse_pruning)]
    pub pruning: crate::chain::Pruning,
    /// Worker threads of mining and verification [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Log filter, like `debug` or `descent_node=trace`.
    #[arg(short = 'l', long = "log", value_name = "LEVEL", default_value = "info")]
    pub log: String,
}

/// Options of a running node.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Chain and folder.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Keep all data in a temporary folder, removed at the end.
    #[arg(long, conflicts_with = "base_path")]
    pub tmp: bool,
    /// Name of this node.
    #[arg(long, default_value = "descent")]
    pub name: String,
    /// Port of JSON-RPC over HTTP and WebSocket, on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 9944)]
    pub rpc_port: u16,
    /// Peers, addresses, identity.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Mine.
    #[arg(long)]
    pub mine: bool,
    /// File with the miner's secret (a phrase, a 0x seed or a path like //Alice); on the dev chain //Alice by default.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Lane of the miner's account: one for each machine that mines for it.
    #[arg(long, default_value_t = 0)]
    pub lane: u32,
    /// Stop after so many blocks on top of the stored chain.
    #[arg(long, value_name = "N")]
    pub stop_after: Option<u32>,
}

/// Options of the network.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Port for peers, over TCP and QUIC [default: 30333, or a free one if it is taken]. The development chain has no
    /// network unless this, --listen or --bootnode asks for one.
    #[arg(long)]
    pub port: Option<u16>,
    /// Address to listen on, like /ip4/0.0.0.0/tcp/30333; may be given several times, instead of --port.
    #[arg(long, value_name = "MULTIADDR", conflicts_with = "port")]
    pub listen: Vec<Multiaddr>,
    /// Peer to begin with, like /ip4/192.0.2.1/tcp/30333/p2p/12D3KooW...; may be given several times.
    #[arg(long, value_name = "MULTIADDR", value_parser = parse_peer)]
    pub bootnode: Vec<(PeerId, Multiaddr)>,
    /// Peer that is always let in and kept connected; may be given several times.
    #[arg(long, value_name = "MULTIADDR", value_parser = parse_peer)]
    pub reserved_nodes: Vec<(PeerId, Multiaddr)>,
    /// Talk to reserved peers only.
    #[arg(long)]
    pub reserved_only: bool,
    /// File with the node's identity, 64 hexadecimal digits; made if absent [default: below the base path].
    #[arg(long, value_name = "FILE")]
    pub node_key: Option<PathBuf>,
    /// Connected peers at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub max_peers: u32,
    /// Don't look for peers on the local network.
    #[arg(long)]
    pub no_mdns: bool,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Chain and folder.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// First block to verify [default: the oldest that the kept history allows].
    #[arg(long, value_name = "N")]
    pub from: Option<u32>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a new sr25519 key and prints its phrase and address.
    Generate {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows the account of a secret, an address or a public key.
    ///
    /// A secret on the command line stays in the shell's history: give `-` to read it from standard input.
    Inspect {
        /// Secret URI (like //Alice), SS58 address, 0x public key, or `-`.
        uri: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `export-checkpoint`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Chain and folder.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Round, or `latest`.
    #[arg(long, default_value = "latest")]
    pub round: String,
    /// Folder to write to; made if absent, and never overwritten.
    pub dir: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Model: tiny, nano or small.
    #[arg(long, default_value = "nano")]
    pub preset: String,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `build-spec`.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// `dev`, `local`, or a JSON file.
    #[arg(long, default_value = "dev")]
    pub chain: String,
    /// Model of a built-in chain: tiny, nano or small.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Text to train on instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub dataset: Option<PathBuf>,
}

fn parse_peer(text: &str) -> Result<(PeerId, Multiaddr), String> {
    let address: Multiaddr = text.parse().map_err(|e| format!("got {text:?}, expected a multiaddress: {e}"))?;
    crate::network::book::split_peer(address)
        .ok_or_else(|| format!("got {text:?}, expected /p2p/ and a peer at its end"))
}

fn parse_pruning(text: &str) -> Result<crate::chain::Pruning, String> {
    use crate::chain::Pruning;
    match text {
        "archive" => Ok(Pruning::Archive),
        _ => match text.parse() {
            Ok(rounds) if rounds >= 4 => Ok(Pruning::Rounds(rounds)),
            Ok(rounds) => Err(format!("got {rounds} rounds, expected at least 4")),
            Err(_) => Err(format!("got {text:?}, expected `archive` or a number of rounds")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pruning_is_archive_or_rounds() {
        use crate::chain::Pruning;
        assert_eq!(parse_pruning("archive"), Ok(Pruning::Archive));
        assert_eq!(parse_pruning("64"), Ok(Pruning::Rounds(64)));
        assert!(parse_pruning("3").is_err());
        assert!(parse_pruning("all").is_err());
    }
}
