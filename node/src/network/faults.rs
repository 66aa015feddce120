//! What a peer is banned for. Every variant is provable from bytes that the peer sent; being slow, silent or without an
//! answer is none of them.

use consensus_upow::verify::BlockError;
use descent_runtime::{ExtrinsicError, H256};

use super::downloads::{BodyError, OversizeError};
use super::groups::GroupError;
use super::wire::WireError;

/// A rule that a peer's bytes break.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no message, or too many of them.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// An announcement that is no header.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A response of another kind than the request.
    #[error("response is not of the kind that was asked for: {0}")]
    Kind(&'static str),
    /// Headers follow one another.
    #[error("header {hash} builds on {got}, expected {expected}")]
    Link {
        /// The header.
        hash: H256,
        /// Its parent.
        got: H256,
        /// The header before it in the response.
        expected: H256,
    },
    /// The first header follows one of the hashes that were sent.
    #[error("headers start on {parent}, which was not asked for")]
    Unrelated {
        /// Parent of the first.
        parent: H256,
    },
    /// A header breaks a rule.
    #[error("header {hash}: {source}")]
    Header {
        /// The header.
        hash: H256,
        /// The rule.
        source: Box<BlockError>,
    },
    /// A body is not the header's.
    #[error("body of block {hash}: {source}")]
    Body {
        /// The block.
        hash: H256,
        /// The rule.
        source: BodyError,
    },
    /// A block promises more than any valid one holds.
    #[error("block {hash}: {source}")]
    Oversize {
        /// The block.
        hash: H256,
        /// The rule.
        source: OversizeError,
    },
    /// A group is not of the part that was asked for.
    #[error("part {digest}: {source}")]
    Group {
        /// The part.
        digest: H256,
        /// The rule.
        source: GroupError,
    },
    /// It presents a block as its own that breaks a rule: whoever has verified it knows.
    #[error("block {hash}: {reason}")]
    Block {
        /// The block.
        hash: H256,
        /// The rule, in words.
        reason: String,
    },
    /// A transaction that no state makes valid.
    #[error("transaction: {0}")]
    Transaction(#[from] ExtrinsicError),
    /// Receipts travel with their parts, in blocks.
    #[error("transaction is a receipt")]
    Receipt,
}
