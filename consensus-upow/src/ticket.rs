//! Tickets: a 32x32 output tile of one mined product, bound to the gradient of its own microbatch.

use codec::{Decode, Encode};
use descent_runtime::H256;
use ml_kernels::config::{Dims, ModelConfig, Op, ProductId};
use ml_kernels::product::TILE;

use crate::difficulty::{Target, first_half_wins, second_half_wins, ticket_threshold};

/// Names one tile of one product of a microbatch. Ordered by layer, operation, row, column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TileId {
    /// Linear layer.
    pub layer: u16,
    /// Code of the operation.
    pub op: u8,
    /// Tile row: 32 rows of A.
    pub row: u16,
    /// Tile column: 32 columns of B.
    pub col: u16,
}

/// A tile that doesn't exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Layer and operation must name a product of the task's model.
    #[error("product (layer {layer}, op {op}) doesn't exist")]
    NoSuchProduct {
        /// Layer.
        layer: u16,
        /// Operation code.
        op: u8,
    },
    /// The tile must lie inside the product.
    #[error("tile ({row}, {col}) lies outside the product's {rows} x {cols} tiles")]
    Outside {
        /// Tile row.
        row: u16,
        /// Tile column.
        col: u16,
        /// Tile rows of the product.
        rows: usize,
        /// Tile columns of the product.
        cols: usize,
    },
}

impl TileId {
    /// The tile of a product.
    pub fn new(id: ProductId, row: u32, col: u32) -> Self {
        // A side of at most 4,096 has at most 128 tiles.
        Self { layer: id.layer, op: id.op as u8, row: row as u16, col: col as u16 }
    }

    /// Rule `tile_exists`: the product it belongs to and its dimensions.
    ///
    /// # Errors
    /// [`TileError`].
    pub fn product(&self, model: &ModelConfig) -> Result<(ProductId, Dims), TileError> {
        let missing = TileError::NoSuchProduct { layer: self.layer, op: self.op };
        let id = ProductId { layer: self.layer, op: Op::from_code(self.op).ok_or(missing.clone())? };
        let dims = model.dims(id).ok_or(missing)?;
        let (rows, cols) = (dims.m / TILE, dims.n / TILE);
        if usize::from(self.row) >= rows || usize::from(self.col) >= cols {
            return Err(TileError::Outside { row: self.row, col: self.col, rows, cols });
        }
        Ok((id, dims))
    }
}

/// `t1 = BLAKE3(t0, h)`: the second half of the draw, known only once the gradient's leaf hash is.
pub fn second_hash(t0: &H256, leaf: &H256) -> H256 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(t0.as_bytes());
    hasher.update(leaf.as_bytes());
    H256(*hasher.finalize().as_bytes())
}

/// Rule `first_half`: `t0 < 8 * target * 1024 * k`.
pub fn first_half(t0: &H256, target: Target, dims: Dims) -> bool {
    // Validated sides are at most 4,096.
    first_half_wins(&t0.0, &ticket_threshold(target, dims.k as u32))
}

/// Rule `second_half`: `t1 < 2^253`.
pub fn second_half(t1: &H256) -> bool {
    second_half_wins(&t1.0)
}
