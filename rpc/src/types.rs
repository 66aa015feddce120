//! What travels on the wire, in the JSON form that clients expect.

use descent_runtime::types::{SS58_PREFIX, TOKEN_DECIMALS, TOKEN_SYMBOL};
use descent_runtime::{Block, H256, Header, version};
use serde::{Deserialize, Serialize};
use sp_core::Bytes;
use sp_crypto_hashing::blake2_64;

mod training;

pub use training::{CheckpointInfo, RoundSummary, TensorInfo, TrainingStatus};

/// Kind of a chain; wallets treat development chains with less care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainType {
    /// One developer's own chain.
    Development,
    /// A few nodes that test together.
    Local,
    /// A public chain.
    Live,
    /// Something else.
    Custom(String),
}

/// What a node does on its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeRole {
    /// It makes blocks.
    Authority,
    /// It follows the chain.
    Full,
}

/// How wallets show addresses and amounts. The default is Descent's on every network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainProperties {
    /// Prefix of addresses.
    pub ss58_format: u16,
    /// Decimals of the coin.
    pub token_decimals: u32,
    /// Symbol of the coin.
    pub token_symbol: String,
}

impl Default for ChainProperties {
    fn default() -> Self {
        Self { ss58_format: SS58_PREFIX, token_decimals: TOKEN_DECIMALS, token_symbol: TOKEN_SYMBOL.into() }
    }
}

/// Peers and synchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Connected peers.
    pub peers: u32,
    /// Whether the node is far behind its peers.
    pub is_syncing: bool,
    /// Whether a node of this network is expected to have peers.
    pub should_have_peers: bool,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerInfo {
    /// Its identity.
    pub peer_id: String,
    /// What it does.
    pub roles: String,
    /// Its best block, in its own words; zero as long as it hasn't told.
    pub best_hash: H256,
    /// Height of that block.
    pub best_number: u32,
}

/// How far synchronization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncState {
    /// Height when the node started.
    pub starting_block: u32,
    /// Height now.
    pub current_block: u32,
    /// Greatest height known, proven or claimed.
    pub highest_block: u32,
}

/// Answer of `descent_networkState`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkState {
    /// The node's own identity; none without a network.
    pub peer_id: Option<String>,
    /// Addresses that it listens on.
    pub listening: Vec<String>,
    /// Connected peers.
    pub peers: Vec<NetworkPeer>,
    /// Height of the heaviest branch whose witnesses were checked.
    pub target_block: Option<u32>,
    /// Headers waiting for their blocks.
    pub candidates: usize,
    /// Bytes of headers, bodies and receipts' parts that wait.
    pub waiting_bytes: usize,
    /// Blocks imported a second, over the last ten seconds.
    pub blocks_per_second: f64,
    /// Peers banned since the start.
    pub bans: u64,
    /// Peers disconnected since the start because they served nothing.
    pub drops: u64,
    /// Peers banned lately.
    pub blamed: Vec<BlamedPeer>,
}

/// A connected peer, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPeer {
    /// Its identity.
    pub peer_id: String,
    /// Where it is.
    pub address: String,
    /// Whether this node called it.
    pub outbound: bool,
    /// Name and version of its program.
    pub agent: String,
    /// Height of its best block, in its own words.
    pub best_number: Option<u32>,
}

/// A banned peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlamedPeer {
    /// Its identity.
    pub peer_id: String,
    /// The rule that its bytes broke.
    pub rule: String,
}

/// Answer of `chain_getBlock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockResponse {
    /// The block.
    pub block: BlockBody,
    /// Always null: blocks are justified by their work alone.
    pub justifications: Option<()>,
}

/// A block in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockBody {
    /// The header.
    pub header: Header,
    /// The extrinsics, each with its length prefix.
    pub extrinsics: Vec<Bytes>,
}

impl From<Block> for BlockResponse {
    fn from(block: Block) -> Self {
        let extrinsics = block.extrinsics.into_iter().map(Bytes).collect();
        Self { block: BlockBody { header: block.header, extrinsics }, justifications: None }
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ListOrValue<T> {
    /// A list.
    List(Vec<T>),
    /// One value.
    Value(T),
}

/// A block number as clients write it: a JSON number, or `0x` and hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NumberOrHex {
    /// A JSON number.
    Number(u64),
    /// A string.
    Hex(String),
}

/// Why something is no block number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockNumberError {
    /// The string is not `0x` and hexadecimal digits.
    #[error("block number is not 0x and up to 16 hexadecimal digits: got {got:?}")]
    NotHex {
        /// The first characters of what was sent.
        got: String,
    },
    /// No chain is that long.
    #[error("block number too large: got {got}, expected at most {max}", max = u32::MAX)]
    TooLarge {
        /// What was sent.
        got: u64,
    },
}

impl NumberOrHex {
    /// The number as a height.
    ///
    /// # Errors
    ///
    /// The string is not hexadecimal, or the number does not fit a height.
    pub fn to_block_number(&self) -> Result<u32, BlockNumberError> {
        let number = match self {
            Self::Number(number) => *number,
            Self::Hex(text) => text
                .strip_prefix("0x")
                // `from_str_radix` takes a sign, which is no digit.
                .filter(|digits| !digits.starts_with('+'))
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or_else(|| BlockNumberError::NotHex { got: text.chars().take(24).collect() })?,
        };
        u32::try_from(number).map_err(|_| BlockNumberError::TooLarge { got: number })
    }
}

/// Answer of `state_getRuntimeVersion`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeVersion {
    /// Name of the chain's rules.
    pub spec_name: String,
    /// Name of the implementation.
    pub impl_name: String,
    /// Version of the block authoring interface.
    pub authoring_version: u32,
    /// Version of the rules.
    pub spec_version: u32,
    /// Version of the implementation.
    pub impl_version: u32,
    /// Runtime interfaces that `state_call` answers: BLAKE2b-64 of the name, and the version.
    pub apis: Vec<(Bytes, u32)>,
    /// Version of the extrinsic format.
    pub transaction_version: u32,
    /// 2: state trie and extrinsics trie have layout V1.
    pub system_version: u8,
    /// 1: the state trie has layout V1. Older clients read this field only.
    pub state_version: u8,
}

impl RuntimeVersion {
    /// Version of the rules in this binary, with the runtime interfaces (name, version) it answers.
    pub fn native(apis: &[(&str, u32)]) -> Self {
        let version = version::VERSION;
        let id = |name: &str| Bytes(blake2_64(name.as_bytes()).to_vec());
        Self {
            spec_name: version.spec_name.into(),
            impl_name: version.impl_name.into(),
            authoring_version: version.authoring_version,
            spec_version: version.spec_version,
            impl_version: version.impl_version,
            apis: apis.iter().map(|(name, version)| (id(name), *version)).collect(),
            transaction_version: version.transaction_version,
            system_version: 2,
            state_version: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_numbers_are_numbers_or_hex() {
        let hex = |text: &str| NumberOrHex::Hex(text.into()).to_block_number();
        assert_eq!(hex("0x0"), Ok(0));
        assert_eq!(hex("0xfF"), Ok(255));
        assert_eq!(hex("0x00000000ffffffff"), Ok(u32::MAX));
        assert_eq!(hex("0x100000000"), Err(BlockNumberError::TooLarge { got: 1 << 32 }));
        for bad in ["", "0x", "1", "0x+1", "0x-1", "0xg", "0x10000000000000000"] {
            assert_eq!(hex(bad), Err(BlockNumberError::NotHex { got: bad.into() }));
        }
        assert_eq!(NumberOrHex::Number(7).to_block_number(), Ok(7));
    }

    /// The id of `Core` is the one that every Substrate client knows.
    #[test]
    fn interface_ids_are_substrates() {
        let version = RuntimeVersion::native(&[("Core", 5)]);
        assert_eq!(serde_json::to_value(version).unwrap()["apis"], serde_json::json!([["0xdf6acb689907609b", 5]]));
    }
}
