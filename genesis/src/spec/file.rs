//! The JSON form of a specification. Amounts are strings: most JSON readers know no integers above 2^53.

use consensus_upow::task::TaskParams;
use descent_runtime::{AccountId, Balance, ChainParams};
use serde::{Deserialize, Serialize};
use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};

use super::{ChainSpec, ChainType, Properties, SPEC_VERSION, SpecError, excerpt};

/// Longest file: room for some fifty thousand endowments. Who reads a file checks its size against this first.
pub const MAX_SPEC_BYTES: usize = 4 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpecFile {
    version: u32,
    name: String,
    id: String,
    chain_type: ChainType,
    protocol_id: String,
    boot_nodes: Vec<String>,
    properties: Properties,
    #[serde(with = "ParamsFile")]
    params: ChainParams,
    task: TaskParams,
    balances: Vec<(String, String)>,
}

/// Read before the rest, so that a file of a later version is not called malformed for its new fields.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// [`ChainParams`] with its large numbers as decimal strings. The compiler checks that no field is left out.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ChainParams", rename_all = "camelCase", deny_unknown_fields)]
struct ParamsFile {
    block_time_ms: u64,
    round_blocks: u32,
    verdict_slack: u32,
    finality_depth: u32,
    half_life_ms: u64,
    max_future_ms: u64,
    genesis_ms: u64,
    #[serde(with = "decimal")]
    initial_difficulty: u128,
    #[serde(with = "decimal")]
    minimum_difficulty: u128,
    max_block_bytes: u32,
    max_blob_bytes: u32,
    max_receipts_per_block: u32,
    #[serde(with = "decimal")]
    existential_deposit: Balance,
    #[serde(with = "decimal")]
    byte_fee: Balance,
    #[serde(with = "decimal")]
    base_fee: Balance,
    #[serde(with = "decimal")]
    receipt_fee: Balance,
    #[serde(with = "decimal")]
    emission_cap: Balance,
    emission_shift: u32,
    #[serde(with = "decimal")]
    tail_emission: Balance,
}

impl ChainSpec {
    /// Reads and checks a specification.
    ///
    /// # Errors
    ///
    /// The first rule that the file breaks.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let (got, expected) = (text.len(), MAX_SPEC_BYTES);
        if got > expected {
            return Err(SpecError::TooLong { got, expected });
        }
        let VersionOnly { version: got } = parse(text)?;
        let expected = SPEC_VERSION;
        if got != expected {
            return Err(SpecError::Version { got, expected });
        }
        let file: SpecFile = parse(text)?;
        let prefix = file.properties.ss58_format;
        let balances = file.balances.iter().enumerate();
        let balances =
            balances.map(|(index, (address, amount))| Ok((account(index, address, prefix)?, coins(index, amount)?)));
        let spec = Self {
            balances: balances.collect::<Result<_, SpecError>>()?,
            name: file.name,
            id: file.id,
            chain_type: file.chain_type,
            protocol_id: file.protocol_id,
            boot_nodes: file.boot_nodes,
            properties: file.properties,
            params: file.params,
            task: file.task,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// Writes the specification: indented, the fields always in the same order, a line break at the end.
    pub fn to_json(&self) -> String {
        let file = SpecFile {
            version: SPEC_VERSION,
            name: self.name.clone(),
            id: self.id.clone(),
            chain_type: self.chain_type,
            protocol_id: self.protocol_id.clone(),
            boot_nodes: self.boot_nodes.clone(),
            properties: self.properties.clone(),
            params: self.params.clone(),
            task: self.task.clone(),
            balances: self.balances.iter().map(|(who, amount)| (address(who), amount.to_string())).collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("strings, numbers and lists always serialize");
        text.push('\n');
        text
    }
}

/// An account's address on this chain.
pub(super) fn address(account: &AccountId) -> String {
    account.to_ss58check_with_version(Ss58AddressFormat::custom(Properties::default().ss58_format))
}

fn account(index: usize, address: &str, prefix: u16) -> Result<AccountId, SpecError> {
    let (account, format) = AccountId::from_ss58check_with_version(address).map_err(|error| SpecError::Address {
        index,
        got: excerpt(address),
        reason: error.to_string(),
    })?;
    let (got, expected) = (u16::from(format), prefix);
    if got != expected {
        return Err(SpecError::AddressPrefix { index, got, expected });
    }
    Ok(account)
}

fn coins(index: usize, text: &str) -> Result<Balance, SpecError> {
    decimal::parse(text).map_err(|error| match error {
        decimal::Error::Malformed => SpecError::AmountMalformed { index, got: excerpt(text) },
        decimal::Error::Overflow => SpecError::AmountOverflow { index, got: excerpt(text) },
    })
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, SpecError> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // The position is in fields of its own.
        let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
        SpecError::Malformed { line, column, message }
    })
}

/// Numbers of up to 128 bits as strings of decimal digits, each number in one way only.
mod decimal {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) enum Error {
        Malformed,
        Overflow,
    }

    pub(super) fn parse(text: &str) -> Result<u128, Error> {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number || (text.len() > 1 && text.starts_with('0')) {
            return Err(Error::Malformed);
        }
        // Digits only: what is left to fail is the size.
        text.parse().map_err(|_| Error::Overflow)
    }

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        // Owned, because a string with escapes can't be borrowed.
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(|error| match error {
            Error::Malformed => D::Error::custom("expected a string of decimal digits without leading zeros"),
            Error::Overflow => D::Error::custom("number overflows 128 bits"),
        })
    }
}
