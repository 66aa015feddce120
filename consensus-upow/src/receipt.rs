//! Receipts: how gradients and shares reach the chain. The summary is an extrinsic; details and gradient travel beside.

use codec::{Decode, DecodeAll, Encode};
use descent_runtime::{AccountId, BlockNumber, H256, Header, HeaderError, ReceiptSummary, pre_digest, split_seal};
use ml_kernels::lattice::{LatticeError, LeafHash};

use crate::engine::{Engine, RoundContext};
use crate::gradient_codec::{self, GradientCodecError};
use crate::mining::{MinedMicrobatch, MiningTemplate};
use crate::task::{MAX_CLAIMS_PER_INDEX, MAX_INDICES};
use crate::ticket::{TileError, TileId};

/// Templates that one receipt's microbatches were mined under, at most.
pub const MAX_TEMPLATES: usize = 256;
/// Bytes of a header without its seal, at most (two digest items at their longest).
const MAX_HEADER_BYTES: usize = 256;

/// One microbatch of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IndexRecord {
    /// Which of the receipt's templates it was mined under.
    pub template: u16,
    /// Mean loss, nats times 2^20.
    pub loss: u32,
    /// Leaf hash, packed.
    pub leaf: [u8; LeafHash::BYTES],
}

/// A share: offset of the index in the receipt, and the tile. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ShareClaim {
    /// Offset from the receipt's first index.
    pub offset: u16,
    /// The tile that drew it.
    pub tile: TileId,
}

/// What a receipt says besides its summary.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReceiptDetails {
    /// Headers without seal that the microbatches were mined under.
    pub templates: Vec<Header>,
    /// One record for each index.
    pub indices: Vec<IndexRecord>,
    /// Strictly ascending.
    pub claims: Vec<ShareClaim>,
}

/// A rule that a receipt's details or gradient break. Sizes, range and round of the summary are the runtime's rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The tokens follow from the count.
    #[error("receipt claims {got} tokens, expected {expected}")]
    Tokens {
        /// Claimed.
        got: u64,
        /// Count times tokens of a microbatch.
        expected: u64,
    },
    /// A part has the length that the summary says.
    #[error("{part} has {got} bytes, expected {expected}")]
    Length {
        /// Details or gradient.
        part: &'static str,
        /// Its length.
        got: usize,
        /// The summary's.
        expected: usize,
    },
    /// No receipt of so many indices and claims is longer.
    #[error("details have {got} bytes, expected at most {limit}")]
    TooLong {
        /// Their length.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// A part has the digest that the summary says.
    #[error("{part} hashes to {got}, expected {expected}")]
    Digest {
        /// Details or gradient.
        part: &'static str,
        /// Its hash.
        got: H256,
        /// The summary's.
        expected: H256,
    },
    /// Details are one canonical encoding.
    #[error("details of {got} bytes do not decode")]
    Malformed {
        /// Their length.
        got: usize,
    },
    /// One record for each index.
    #[error("details have {got} indices, expected {expected}")]
    Indices {
        /// Given.
        got: usize,
        /// The summary's.
        expected: u32,
    },
    /// One claim for each share.
    #[error("details have {got} claims, expected {expected}")]
    Claims {
        /// Given.
        got: usize,
        /// The summary's.
        expected: u32,
    },
    /// Claims ascend strictly: none counts twice.
    #[error("claim {position} does not follow its predecessor")]
    ClaimOrder {
        /// Its position.
        position: usize,
    },
    /// A claim is of one of the receipt's indices.
    #[error("claim is of offset {got}, expected below {limit}")]
    ClaimOffset {
        /// Its offset.
        got: u16,
        /// Indices of the receipt.
        limit: u32,
    },
    /// No index has more than 32 claims.
    #[error("index at offset {offset} has more than {limit} claims")]
    ClaimsOfIndex {
        /// Its offset.
        offset: u16,
        /// The bound.
        limit: usize,
    },
    /// An index without a claim proves no work, and no sampled claim would ever lead to it.
    #[error("index at offset {offset} has no claim")]
    IndexWithoutClaim {
        /// Its offset.
        offset: u32,
    },
    /// A claimed tile exists.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// Number of templates.
    #[error("details have {got} templates, expected 1 to {limit}")]
    Templates {
        /// Given.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// A record names one of the templates.
    #[error("index names template {got}, expected below {limit}")]
    TemplateIndex {
        /// Named.
        got: u16,
        /// Templates of the receipt.
        limit: usize,
    },
    /// A template is a well-formed header without a seal.
    #[error("template {position}: {source}")]
    TemplateHeader {
        /// Its position.
        position: usize,
        /// The header's rule.
        source: HeaderError,
    },
    /// A template has no seal.
    #[error("template {position} is sealed")]
    TemplateSealed {
        /// Its position.
        position: usize,
    },
    /// A template is of the receipt's account and lane.
    #[error("template {position} is of ({got_account}, lane {got_lane}), expected ({account}, lane {lane})")]
    TemplateMiner {
        /// Its position.
        position: usize,
        /// Its sealer.
        got_account: Box<AccountId>,
        /// Its lane.
        got_lane: u32,
        /// The receipt's account.
        account: Box<AccountId>,
        /// The receipt's lane.
        lane: u32,
    },
    /// A template builds on an ancestor of the including block, within the receipt's round.
    #[error("template {position} builds on {parent}, which is no ancestor in round {round}")]
    TemplateParent {
        /// Its position.
        position: usize,
        /// Its parent.
        parent: H256,
        /// The receipt's round.
        round: u32,
    },
    /// A template's number follows its parent's.
    #[error("template {position} has number {got}, expected {expected}")]
    TemplateNumber {
        /// Its position.
        position: usize,
        /// Its number.
        got: BlockNumber,
        /// Parent's plus one.
        expected: u64,
    },
    /// A leaf hash is well-formed.
    #[error("leaf at offset {offset}: {source}")]
    Leaf {
        /// Its offset.
        offset: usize,
        /// The hash's rule.
        source: LatticeError,
    },
    /// The gradient's encoding is canonical and within its bounds.
    #[error(transparent)]
    Gradient(#[from] GradientCodecError),
    /// `sum h_i = h(G)`: the summed gradient is the sum of the committed leaves.
    #[error("leaf hashes sum up to {got}, expected the gradient's {expected}")]
    Sum {
        /// Digest of the sum.
        got: H256,
        /// Digest of the gradient's hash.
        expected: H256,
    },
}

/// A receipt's parts, checked.
#[derive(Clone, Debug)]
pub struct CheckedReceipt {
    /// Its details.
    pub details: ReceiptDetails,
    /// Its summed gradient.
    pub gradient: Vec<i16>,
}

impl ReceiptDetails {
    /// The longest encoding of details with so many indices and claims.
    pub fn max_len(count: u32, shares: u32) -> usize {
        let index = 2 + 4 + LeafHash::BYTES;
        let claim = 2 + 7;
        // Both counts are bounded by the runtime's rules; saturating keeps the bound a bound without them.
        let sizes = (count as usize).saturating_mul(index).saturating_add((shares as usize).saturating_mul(claim));
        sizes.saturating_add(MAX_TEMPLATES * MAX_HEADER_BYTES + 16)
    }

    /// Decodes details whose length was checked.
    ///
    /// # Errors
    /// [`ReceiptError::TooLong`] or [`ReceiptError::Malformed`].
    pub fn decode_checked(bytes: &[u8], count: u32, shares: u32) -> Result<Self, ReceiptError> {
        let limit = Self::max_len(count, shares);
        if bytes.len() > limit {
            return Err(ReceiptError::TooLong { got: bytes.len(), limit });
        }
        Self::decode_all(&mut &bytes[..]).map_err(|_| ReceiptError::Malformed { got: bytes.len() })
    }

    /// `sigma` of an index.
    pub fn sigma(&self, offset: usize) -> Option<H256> {
        let record = self.indices.get(offset)?;
        self.templates.get(usize::from(record.template)).map(Header::hash)
    }

    /// Sum of the losses of all indices.
    pub fn loss_sum(&self) -> u64 {
        self.indices.iter().map(|i| u64::from(i.loss)).sum()
    }
}

/// Digest of a sidecar part.
pub fn part_digest(bytes: &[u8]) -> H256 {
    H256(*blake3::hash(bytes).as_bytes())
}

/// Checks a receipt's parts against its summary, in order of cost.
///
/// `ancestor` gives the number of an ancestor of the including block (its parent included), or nothing.
/// `round_of_parent` gives the round of attempts that build on a block of that number.
///
/// # Errors
/// The first rule broken.
pub fn receipt_parts_are_valid(
    engine: &Engine,
    account: &AccountId,
    summary: &ReceiptSummary,
    details: &[u8],
    blob: &[u8],
    ancestor: &dyn Fn(&H256) -> Option<BlockNumber>,
    round_of_parent: &dyn Fn(BlockNumber) -> u32,
) -> Result<CheckedReceipt, ReceiptError> {
    tokens_follow_count(engine, summary)?;
    part_is_the_summarys("details", details, summary.details_len, &summary.details_hash)?;
    part_is_the_summarys("gradient", blob, summary.blob_len, &summary.blob_hash)?;
    let details = ReceiptDetails::decode_checked(details, summary.count, summary.shares)?;
    claims_are_valid(engine, summary, &details)?;
    templates_are_valid(account, summary, &details, ancestor, round_of_parent)?;
    let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
    let gradient = gradient_codec::decode(&lengths, summary.count, blob)?;
    leaves_sum_to_gradient(engine, &details, &gradient)?;
    Ok(CheckedReceipt { details, gradient })
}

fn tokens_follow_count(engine: &Engine, summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let expected = u64::from(summary.count) * engine.task().model().tokens() as u64;
    if summary.tokens == expected { Ok(()) } else { Err(ReceiptError::Tokens { got: summary.tokens, expected }) }
}

fn part_is_the_summarys(part: &'static str, bytes: &[u8], len: u32, digest: &H256) -> Result<(), ReceiptError> {
    if bytes.len() != len as usize {
        return Err(ReceiptError::Length { part, got: bytes.len(), expected: len as usize });
    }
    let got = part_digest(bytes);
    if got == *digest { Ok(()) } else { Err(ReceiptError::Digest { part, got, expected: *digest }) }
}

fn claims_are_valid(engine: &Engine, summary: &ReceiptSummary, details: &ReceiptDetails) -> Result<(), ReceiptError> {
    if details.indices.len() != summary.count as usize {
        return Err(ReceiptError::Indices { got: details.indices.len(), expected: summary.count });
    }
    if details.claims.len() != summary.shares as usize {
        return Err(ReceiptError::Claims { got: details.claims.len(), expected: summary.shares });
    }
    let mut of_index = 0;
    for (position, claim) in details.claims.iter().enumerate() {
        let previous = position.checked_sub(1).map(|p| details.claims[p]);
        if previous.is_some_and(|p| p >= *claim) {
            return Err(ReceiptError::ClaimOrder { position });
        }
        if u32::from(claim.offset) >= summary.count {
            return Err(ReceiptError::ClaimOffset { got: claim.offset, limit: summary.count });
        }
        of_index = if previous.is_some_and(|p| p.offset == claim.offset) { of_index + 1 } else { 1 };
        // Ascending: the first offset is 0 and none is left out.
        let expected = previous.map_or(0, |p| u32::from(p.offset) + u32::from(of_index == 1));
        if u32::from(claim.offset) != expected {
            return Err(ReceiptError::IndexWithoutClaim { offset: expected });
        }
        if of_index > MAX_CLAIMS_PER_INDEX {
            return Err(ReceiptError::ClaimsOfIndex { offset: claim.offset, limit: MAX_CLAIMS_PER_INDEX });
        }
        claim.tile.product(engine.task().model())?;
    }
    let covered = details.claims.last().map_or(0, |c| u32::from(c.offset) + 1);
    if covered < summary.count {
        return Err(ReceiptError::IndexWithoutClaim { offset: covered });
    }
    Ok(())
}

fn templates_are_valid(
    account: &AccountId,
    summary: &ReceiptSummary,
    details: &ReceiptDetails,
    ancestor: &dyn Fn(&H256) -> Option<BlockNumber>,
    round_of_parent: &dyn Fn(BlockNumber) -> u32,
) -> Result<(), ReceiptError> {
    let limit = details.templates.len();
    if limit == 0 || limit > MAX_TEMPLATES {
        return Err(ReceiptError::Templates { got: limit, limit: MAX_TEMPLATES });
    }
    if let Some(record) = details.indices.iter().find(|i| usize::from(i.template) >= limit) {
        return Err(ReceiptError::TemplateIndex { got: record.template, limit });
    }
    for (position, header) in details.templates.iter().enumerate() {
        let (_, seal) = split_seal(header).map_err(|source| ReceiptError::TemplateHeader { position, source })?;
        if seal.is_some() {
            return Err(ReceiptError::TemplateSealed { position });
        }
        let pre = pre_digest(header).map_err(|source| ReceiptError::TemplateHeader { position, source })?;
        if pre.sealer != *account || pre.lane != summary.lane {
            let (got_account, account) = (Box::new(pre.sealer), Box::new(account.clone()));
            return Err(ReceiptError::TemplateMiner {
                position,
                got_account,
                got_lane: pre.lane,
                account,
                lane: summary.lane,
            });
        }
        let (parent, round) = (header.parent_hash, summary.round);
        let number = ancestor(&parent).filter(|n| round_of_parent(*n) == round);
        let number = number.ok_or(ReceiptError::TemplateParent { position, parent, round })?;
        let expected = u64::from(number) + 1;
        if u64::from(header.number) != expected {
            return Err(ReceiptError::TemplateNumber { position, got: header.number, expected });
        }
    }
    Ok(())
}

/// Rule `leaves_sum_to_gradient`: linearity of the hash makes the sum checkable without any leaf's gradient.
fn leaves_sum_to_gradient(engine: &Engine, details: &ReceiptDetails, gradient: &[i16]) -> Result<(), ReceiptError> {
    let mut sum = LeafHash::zero();
    for (offset, record) in details.indices.iter().enumerate() {
        sum.add_assign(&LeafHash::from_bytes(&record.leaf).map_err(|source| ReceiptError::Leaf { offset, source })?);
    }
    // The codec decodes exactly the model's length, which the lattice key was made for.
    let expected = engine.lattice().hash_i16(engine.platform(), gradient).expect("gradient of the task's own model");
    if sum == expected {
        Ok(())
    } else {
        Err(ReceiptError::Sum { got: H256(sum.digest()), expected: H256(expected.digest()) })
    }
}

/// Collects a miner's microbatches of one round into a receipt.
#[derive(Clone, Debug)]
pub struct ReceiptBuilder {
    round: u32,
    lane: u32,
    start: u32,
    sum: Vec<i16>,
    sigmas: Vec<H256>,
    details: ReceiptDetails,
}

/// A receipt ready to be signed, and its two parts.
#[derive(Clone, Debug)]
pub struct BuiltReceipt {
    /// The call's argument.
    pub summary: ReceiptSummary,
    /// Details, encoded.
    pub details: Vec<u8>,
    /// Summed gradient, encoded.
    pub blob: Vec<u8>,
}

impl ReceiptBuilder {
    /// Starts a receipt at the next free index of a lane.
    pub fn new(engine: &Engine, context: &RoundContext, lane: u32, start: u32) -> Self {
        Self {
            round: context.round,
            lane,
            start,
            sum: vec![0; engine.task().model().weights()],
            sigmas: Vec::new(),
            details: ReceiptDetails { templates: Vec::new(), indices: Vec::new(), claims: Vec::new() },
        }
    }

    /// Indices collected.
    pub fn count(&self) -> usize {
        self.details.indices.len()
    }

    /// First index.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The index that the next microbatch must have.
    pub fn next_index(&self) -> u32 {
        // At most 256 indices are added.
        self.start.saturating_add(self.count() as u32)
    }

    /// The round it is of.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// How many more indices fit.
    pub fn room(&self) -> usize {
        MAX_INDICES - self.count()
    }

    /// Adds the microbatch of [`Self::next_index`]; refuses another index, one too many, or one without a share with
    /// `false`: the index is then mined again under another template (one in `e^8` is).
    pub fn push(&mut self, template: &MiningTemplate, mined: &MinedMicrobatch) -> bool {
        let sigma = template.sigma();
        let known = self.sigmas.last() == Some(&sigma);
        if mined.shares.is_empty()
            || mined.index != self.next_index()
            || self.room() == 0
            || (!known && self.sigmas.len() == MAX_TEMPLATES)
        {
            return false;
        }
        if !known {
            self.sigmas.push(sigma);
            self.details.templates.push(template.header().clone());
        }
        // Both are at most 256.
        let (template, offset) = ((self.sigmas.len() - 1) as u16, self.count() as u16);
        let mut leaf = [0; LeafHash::BYTES];
        leaf.copy_from_slice(&mined.leaf.to_bytes());
        self.details.indices.push(IndexRecord { template, loss: mined.output.loss, leaf });
        self.details.claims.extend(mined.shares.iter().map(|tile| ShareClaim { offset, tile: *tile }));
        for (sum, g) in self.sum.iter_mut().zip(&mined.output.gradient) {
            // At most 31 * 256.
            *sum += i16::from(*g);
        }
        true
    }

    /// Finishes the receipt; nothing if it is empty.
    pub fn build(&self, engine: &Engine) -> Option<BuiltReceipt> {
        if self.count() == 0 {
            return None;
        }
        let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
        let (details, blob) = (self.details.encode(), gradient_codec::encode(&lengths, &self.sum));
        // Counts are bounded by 256 and 32 * 256; lengths by a few bytes a weight of a model below 2^28 weights.
        let count = self.count() as u32;
        let summary = ReceiptSummary {
            round: self.round,
            lane: self.lane,
            start: self.start,
            count,
            shares: self.details.claims.len() as u32,
            tokens: u64::from(count) * engine.task().model().tokens() as u64,
            details_hash: part_digest(&details),
            details_len: details.len() as u32,
            blob_hash: part_digest(&blob),
            blob_len: blob.len() as u32,
        };
        Some(BuiltReceipt { summary, details, blob })
    }
}
