//! A chain's specification: everything that nodes of one network must agree on, and where to find each other.

use std::collections::BTreeSet;

use consensus_upow::task::TaskParams;
use descent_runtime::types::{SS58_PREFIX, TOKEN_DECIMALS, TOKEN_SYMBOL};
use descent_runtime::{AccountId, Balance, ChainParams};
use serde::{Deserialize, Serialize};

use crate::builtin::MIN_MICROBATCHES;

mod error;
mod file;

pub use error::SpecError;
pub use file::MAX_SPEC_BYTES;

/// Version of the file format.
pub const SPEC_VERSION: u32 = 1;

/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 64;
/// Longest id and protocol id, in bytes.
const MAX_ID_BYTES: usize = 32;
/// Most boot nodes.
const MAX_BOOT_NODES: usize = 64;
/// Longest boot node address, in bytes.
const MAX_BOOT_NODE_BYTES: usize = 256;
/// Longest token symbol, in bytes.
const MAX_SYMBOL_BYTES: usize = 12;
/// Highest sum of all endowments: as far below `u128::MAX` as the emission's cap must stay.
const MAX_ENDOWED: Balance = 1 << 100;

/// What kind of network a chain is; wallets warn accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainType {
    /// One node.
    Development,
    /// A few nodes of one operator.
    Local,
    /// A network of strangers.
    Live,
}

/// How wallets write addresses and amounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Properties {
    /// Prefix of addresses.
    pub ss58_format: u16,
    /// Decimals of an amount.
    pub token_decimals: u32,
    /// The coin's symbol.
    pub token_symbol: String,
}

impl Default for Properties {
    fn default() -> Self {
        Self { ss58_format: SS58_PREFIX, token_decimals: TOKEN_DECIMALS, token_symbol: TOKEN_SYMBOL.to_owned() }
    }
}

/// A chain's specification.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSpec {
    /// Name that people read.
    pub name: String,
    /// Name of directories: small letters, digits, `-` and `_`.
    pub id: String,
    /// Kind of network.
    pub chain_type: ChainType,
    /// Keeps the networks of different chains apart; in the alphabet of `id`.
    pub protocol_id: String,
    /// Peers to connect to first.
    pub boot_nodes: Vec<String>,
    /// How wallets write addresses and amounts.
    pub properties: Properties,
    /// What the rules leave open.
    pub params: ChainParams,
    /// What the network trains.
    pub task: TaskParams,
    /// Accounts that the genesis block endows, in the order of the file.
    pub balances: Vec<(AccountId, Balance)>,
}

impl ChainSpec {
    /// Checks every rule that a specification must keep.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.names_are_valid()?;
        self.boot_nodes_are_valid()?;
        self.properties_are_valid()?;
        self.params.validate()?;
        self.task.validate()?;
        self.params_fit_the_task()?;
        self.balances_are_valid()
    }

    /// Sum of all endowments; saturates, but a valid specification stays far below.
    pub fn endowed(&self) -> Balance {
        self.balances.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    fn names_are_valid(&self) -> Result<(), SpecError> {
        // The id becomes a directory: no separators, no dots, the same on file systems that ignore case.
        if !is_identifier(&self.id) {
            return Err(SpecError::Id { got: excerpt(&self.id) });
        }
        if !is_identifier(&self.protocol_id) {
            return Err(SpecError::ProtocolId { got: excerpt(&self.protocol_id) });
        }
        let chars = self.name.chars().count();
        if chars == 0 || chars > MAX_NAME_CHARS || self.name.chars().any(char::is_control) {
            return Err(SpecError::Name { got: excerpt(&self.name) });
        }
        Ok(())
    }

    fn boot_nodes_are_valid(&self) -> Result<(), SpecError> {
        let (got, expected) = (self.boot_nodes.len(), MAX_BOOT_NODES);
        if got > expected {
            return Err(SpecError::BootNodes { got, expected });
        }
        // What an address looks like is the network's business; here it is text that can be logged.
        let is_valid = |node: &String| {
            !node.is_empty() && node.len() <= MAX_BOOT_NODE_BYTES && node.bytes().all(|b| b.is_ascii_graphic())
        };
        match self.boot_nodes.iter().position(|node| !is_valid(node)) {
            Some(index) => Err(SpecError::BootNode { index, got: excerpt(&self.boot_nodes[index]) }),
            None => Ok(()),
        }
    }

    fn properties_are_valid(&self) -> Result<(), SpecError> {
        let Properties { ss58_format, token_decimals, token_symbol } = &self.properties;
        // The runtime's metadata states prefix and unit, too: wallets must not read two answers.
        if *ss58_format != SS58_PREFIX {
            return Err(SpecError::Ss58Format { got: *ss58_format, expected: SS58_PREFIX });
        }
        if *token_decimals != TOKEN_DECIMALS {
            return Err(SpecError::TokenDecimals { got: *token_decimals, expected: TOKEN_DECIMALS });
        }
        let is_short = (1..=MAX_SYMBOL_BYTES).contains(&token_symbol.len());
        if !is_short || !token_symbol.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SpecError::TokenSymbol { got: excerpt(token_symbol) });
        }
        Ok(())
    }

    /// Rules between parameters and task, which neither can check alone. Both must be valid.
    fn params_fit_the_task(&self) -> Result<(), SpecError> {
        let model = self.task.model();
        let expected = MIN_MICROBATCHES * u128::from(model.microbatch_macs());
        let got = self.params.minimum_difficulty;
        if got < expected {
            return Err(SpecError::MinimumDifficulty { got, expected, microbatches: MIN_MICROBATCHES });
        }
        // Sums are coded in more than four bits a weight: with less than a byte, busy miners could not publish.
        let (got, expected) = (u64::from(self.params.max_blob_bytes), model.weights() as u64);
        if got < expected {
            return Err(SpecError::BlobBytes { got, expected });
        }
        Ok(())
    }

    fn balances_are_valid(&self) -> Result<(), SpecError> {
        let expected = self.params.existential_deposit;
        let mut seen = BTreeSet::new();
        let mut total: Balance = 0;
        for (index, (account, amount)) in self.balances.iter().enumerate() {
            if !seen.insert(account) {
                return Err(SpecError::DuplicateAddress { index, address: file::address(account) });
            }
            if *amount < expected {
                return Err(SpecError::BelowExistentialDeposit { index, got: *amount, expected });
            }
            total = total
                .checked_add(*amount)
                .filter(|total| *total <= MAX_ENDOWED)
                .ok_or(SpecError::Endowed { index, expected: MAX_ENDOWED })?;
        }
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    text.len() <= MAX_ID_BYTES && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && text.bytes().all(inner)
}

/// The beginning of a text, for a message.
fn excerpt(text: &str) -> String {
    let mut start: String = text.chars().take(MAX_NAME_CHARS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests;
