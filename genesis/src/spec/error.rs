//! The rules of a specification, one variant each.

use consensus_upow::task::TaskError;
use descent_runtime::{Balance, ParamsError};

/// A rule that a specification breaks. Positions of list elements count from zero.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// The file is too long to be one.
    #[error("specification is {got} bytes, expected at most {expected}")]
    TooLong {
        /// Bytes found.
        got: usize,
        /// Most bytes.
        expected: usize,
    },
    /// Not JSON, or a field is missing, unknown, repeated or of the wrong type.
    #[error("malformed JSON at line {line}, column {column}: {message}")]
    Malformed {
        /// Line, from one.
        line: usize,
        /// Column, from one.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// The file is made for another version of the node.
    #[error("specification has version {got}, expected {expected}")]
    Version {
        /// Version found.
        got: u32,
        /// The version this node reads.
        expected: u32,
    },
    /// No built-in chain has the name.
    #[error("unknown chain {got:?}, expected one of {expected}")]
    UnknownChain {
        /// Name asked for.
        got: String,
        /// Names there are.
        expected: String,
    },
    /// No built-in model has the name.
    #[error("unknown preset {got:?}, expected one of {expected}")]
    UnknownPreset {
        /// Name asked for.
        got: String,
        /// Names there are.
        expected: String,
    },
    /// The id names directories.
    #[error("id is {got:?}, expected 1 to 32 of a-z, 0-9, - and _, a letter first")]
    Id {
        /// Id found.
        got: String,
    },
    /// The protocol id is part of protocol names.
    #[error("protocol id is {got:?}, expected 1 to 32 of a-z, 0-9, - and _, a letter first")]
    ProtocolId {
        /// Id found.
        got: String,
    },
    /// The name is shown in one line.
    #[error("name is {got:?}, expected 1 to 64 characters, none of them a control character")]
    Name {
        /// Name found.
        got: String,
    },
    /// A few boot nodes are enough.
    #[error("{got} boot nodes, expected at most {expected}")]
    BootNodes {
        /// How many.
        got: usize,
        /// Most.
        expected: usize,
    },
    /// A boot node's address is short printable text.
    #[error("boot node {index} is {got:?}, expected 1 to 256 printable ASCII characters without spaces")]
    BootNode {
        /// Position.
        index: usize,
        /// Address found.
        got: String,
    },
    /// The runtime knows one prefix.
    #[error("ss58 format is {got}, expected {expected}")]
    Ss58Format {
        /// Prefix found.
        got: u16,
        /// The runtime's.
        expected: u16,
    },
    /// The runtime knows one unit.
    #[error("token has {got} decimals, expected {expected}")]
    TokenDecimals {
        /// Decimals found.
        got: u32,
        /// The runtime's.
        expected: u32,
    },
    /// The symbol is shown beside amounts.
    #[error("token symbol is {got:?}, expected 1 to 12 ASCII letters and digits")]
    TokenSymbol {
        /// Symbol found.
        got: String,
    },
    /// An endowed address does not decode.
    #[error("address {got:?} of balance {index} does not decode: {reason}")]
    Address {
        /// Position.
        index: usize,
        /// Address found.
        got: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An endowed address is one of another network.
    #[error("address of balance {index} has ss58 format {got}, expected {expected}")]
    AddressPrefix {
        /// Position.
        index: usize,
        /// Prefix found.
        got: u16,
        /// The prefix of this chain.
        expected: u16,
    },
    /// One account has one endowment.
    #[error("address {address} of balance {index} was endowed before")]
    DuplicateAddress {
        /// Position of the later one.
        index: usize,
        /// The address.
        address: String,
    },
    /// An amount is decimal digits.
    #[error("amount of balance {index} is {got:?}, expected decimal digits without leading zeros")]
    AmountMalformed {
        /// Position.
        index: usize,
        /// Amount found.
        got: String,
    },
    /// An amount fits 128 bits.
    #[error("amount of balance {index} overflows: {got}, expected at most {}", Balance::MAX)]
    AmountOverflow {
        /// Position.
        index: usize,
        /// Amount found.
        got: String,
    },
    /// Accounts must not hold less.
    #[error("amount of balance {index} is {got}, expected at least the existential deposit {expected}")]
    BelowExistentialDeposit {
        /// Position.
        index: usize,
        /// Amount found.
        got: Balance,
        /// The existential deposit.
        expected: Balance,
    },
    /// The issuance must stay far below what a balance can hold.
    #[error("the endowments up to balance {index} sum to more than {expected}")]
    Endowed {
        /// Position of the balance that is too much.
        index: usize,
        /// Highest sum.
        expected: Balance,
    },
    /// The chain's parameters break a rule of their own.
    #[error("chain parameters: {0}")]
    Params(#[from] ParamsError),
    /// The task breaks a rule of its own.
    #[error("task: {0}")]
    Task(#[from] TaskError),
    /// A block must be worth several microbatches.
    #[error("minimum difficulty is {got}, expected at least {expected}: {microbatches} microbatches of the model")]
    MinimumDifficulty {
        /// Difficulty found.
        got: u128,
        /// Lowest.
        expected: u128,
        /// The same in microbatches.
        microbatches: u128,
    },
    /// A summed gradient must fit.
    #[error("blob limit is {got} bytes, expected at least {expected}: a byte for each weight of the model")]
    BlobBytes {
        /// Limit found.
        got: u64,
        /// Lowest.
        expected: u64,
    },
}
