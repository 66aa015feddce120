//! The witness of a seal: both strips and the strip-hash lists. Verifies without model or state.
//!
//! What it proves: somebody multiplied committed operands of the right shape under noise drawn after the commitment,
//! and the tile's ticket is below an eighth of the target's odds: an eighth of the claimed work. It does not prove
//! that the operands are the model's or that the gradient exists; recomputing the microbatch does.

use descent_runtime::H256;
use ml_kernels::config::Dims;
use ml_kernels::product::{Operand, ProductError, TILE, ticket, tile_state};

use crate::attempt::{Attempt, key_a};
use crate::task::Task;
use crate::ticket::{TileError, TileId};

/// Both strips of a tile and the lists that the operand commitments hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// 32 rows of A, strip order.
    pub a_strip: Vec<i8>,
    /// 32 columns of B, strip order.
    pub b_strip: Vec<i8>,
    /// Hash of each strip of A.
    pub a_hashes: Vec<[u8; 32]>,
    /// Hash of each strip of B.
    pub b_hashes: Vec<[u8; 32]>,
}

/// A rule that a witness breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The tile must exist.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// Its length follows from the product's dimensions.
    #[error("witness has {got} bytes, expected {expected}")]
    Length {
        /// Its length.
        got: usize,
        /// The length of a witness of this product.
        expected: usize,
    },
    /// A strip must be the one its list names.
    #[error("strip of {side} hashes to {got}, expected {expected}")]
    Strip {
        /// A or B.
        side: char,
        /// Hash of the strip.
        got: H256,
        /// Hash in the list.
        expected: H256,
    },
    /// A list must hash to the seal's commitment.
    #[error("strip hashes of {side} commit to {got}, expected {expected}")]
    Commitment {
        /// A or B.
        side: char,
        /// Commitment of the list.
        got: H256,
        /// Commitment in the seal.
        expected: H256,
    },
    /// The tile must draw the claimed ticket.
    #[error("tile draws ticket {got}, expected the claimed {expected}")]
    Ticket {
        /// What the strips give.
        got: H256,
        /// What the seal claims.
        expected: H256,
    },
    /// Operands outside int7 or of a wrong shape.
    #[error(transparent)]
    Product(#[from] ProductError),
}

impl Witness {
    /// Bytes of a witness: two strips of `32 k` and one 32-byte hash for each 32 rows and columns.
    pub fn encoded_len(dims: Dims) -> usize {
        2 * TILE * dims.k + dims.m + dims.n
    }

    /// Strips, then lists.
    pub fn to_bytes(&self) -> Vec<u8> {
        let strips = self.a_strip.iter().chain(&self.b_strip).map(|v| v.cast_unsigned());
        strips.chain(self.a_hashes.iter().chain(&self.b_hashes).flatten().copied()).collect()
    }

    /// Rule `witness_length`, before anything is allocated.
    ///
    /// # Errors
    /// [`WitnessError::Length`].
    pub fn from_bytes(dims: Dims, bytes: &[u8]) -> Result<Self, WitnessError> {
        let expected = Self::encoded_len(dims);
        if bytes.len() != expected {
            return Err(WitnessError::Length { got: bytes.len(), expected });
        }
        let strip = TILE * dims.k;
        let signed = |b: &[u8]| b.iter().map(|v| v.cast_signed()).collect();
        let hashes = |b: &[u8]| b.as_chunks::<32>().0.to_vec();
        let (strips, lists) = bytes.split_at(2 * strip);
        Ok(Self {
            a_strip: signed(&strips[..strip]),
            b_strip: signed(&strips[strip..]),
            a_hashes: hashes(&lists[..dims.m]),
            b_hashes: hashes(&lists[dims.m..]),
        })
    }

    /// Digest that the seal carries.
    pub fn digest(bytes: &[u8]) -> H256 {
        H256(*blake3::hash(bytes).as_bytes())
    }
}

/// What a witness must prove: taken from a seal.
#[derive(Clone, Debug)]
pub struct WitnessClaim<'a> {
    /// Tile drawn.
    pub tile: TileId,
    /// Commitment of the A operand.
    pub com_a: H256,
    /// Commitment of the B operand.
    pub com_b: H256,
    /// First half of the ticket.
    pub t0: H256,
    /// The attempt it was drawn in.
    pub attempt: &'a Attempt,
}

/// Checks a witness against what it claims: strips, lists, commitments, ticket.
///
/// # Errors
/// The first rule broken.
pub fn witness_is_valid(task: &Task, claim: &WitnessClaim<'_>, bytes: &[u8]) -> Result<(), WitnessError> {
    let (id, dims) = claim.tile.product(task.model())?;
    let witness = Witness::from_bytes(dims, bytes)?;
    strip_is_listed('A', &witness.a_strip, &witness.a_hashes, claim.tile.row)?;
    strip_is_listed('B', &witness.b_strip, &witness.b_hashes, claim.tile.col)?;
    list_is_committed('A', &witness.a_hashes, &claim.com_a)?;
    list_is_committed('B', &witness.b_hashes, &claim.com_b)?;
    let key_b = claim.attempt.key_b(task, id, dims, &claim.com_b.0);
    let key_a = key_a(&key_b, &claim.attempt.key(task), &claim.com_a.0);
    let got = tile_ticket(&witness.a_strip, &witness.b_strip, dims, claim.tile, &key_a, &key_b)?;
    if got != claim.t0 {
        return Err(WitnessError::Ticket { got, expected: claim.t0 });
    }
    Ok(())
}

/// `t0` of a tile from its two strips.
pub(crate) fn tile_ticket(
    a: &[i8],
    b: &[i8],
    dims: Dims,
    tile: TileId,
    key_a: &[u8; 32],
    key_b: &[u8; 32],
) -> Result<H256, ProductError> {
    let state = tile_state(a, b, dims.k, tile.row.into(), tile.col.into(), key_a, key_b)?;
    Ok(H256(ticket(key_a, &state)))
}

fn strip_is_listed(side: char, strip: &[i8], hashes: &[[u8; 32]], at: u16) -> Result<(), WitnessError> {
    let bytes: Vec<u8> = strip.iter().map(|v| v.cast_unsigned()).collect();
    let got = H256(*blake3::hash(&bytes).as_bytes());
    // `tile_exists` bounds the index by the list's length.
    let expected = H256(hashes[usize::from(at)]);
    if got == expected { Ok(()) } else { Err(WitnessError::Strip { side, got, expected }) }
}

fn list_is_committed(side: char, hashes: &[[u8; 32]], expected: &H256) -> Result<(), WitnessError> {
    let got = H256(Operand::commitment(hashes));
    if got == *expected { Ok(()) } else { Err(WitnessError::Commitment { side, got, expected: *expected }) }
}
