//! The model's shape, its tensors and the matrix products a microbatch consists of.

use crate::product::{MAX_K, RANK, TILE};

/// Byte-level vocabulary.
pub const VOCAB: usize = 256;
/// Largest tensor side or token count accepted (the i32 accumulators and the noise bounds hold up to here).
pub const MAX_SIDE: usize = MAX_K;

/// Tensors of a decoder layer: attention norm, q, k, v, out, feed-forward norm, gate, up, down.
pub const TENSORS_PER_LAYER: usize = 9;

/// Shape of a Llama-style decoder and of one microbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of decoder layers.
    pub n_layers: usize,
    /// Attention heads; `d_model / n_heads` is a power of two.
    pub n_heads: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Tokens of a window (`T`).
    pub seq_len: usize,
    /// Windows of a microbatch (`B`).
    pub batch: usize,
}

/// A rule that a model shape breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Every matrix side is cut into 32x32 tiles and noise blocks.
    #[error("{name} is {got}, expected a multiple of {TILE} between {TILE} and {MAX_SIDE}")]
    Side {
        /// Which side.
        name: &'static str,
        /// Its value.
        got: usize,
    },
    /// Rotary embedding tables are built by repeated square roots.
    #[error("head width is {d_model}/{n_heads}, expected a power of two of at least 8")]
    HeadWidth {
        /// Model width.
        d_model: usize,
        /// Number of heads.
        n_heads: usize,
    },
    /// At least one layer, at most 256.
    #[error("number of layers is {0}, expected 1 to 256")]
    Layers(usize),
    /// At least one window of at least eight tokens.
    #[error("microbatch is {batch} windows of {seq_len} tokens, expected at least 1 window of a multiple of 8 tokens")]
    Microbatch {
        /// Windows.
        batch: usize,
        /// Tokens each.
        seq_len: usize,
    },
}

/// What a tensor is; decides weight decay and initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// Token embedding, `[vocab][d_model]`.
    Embedding,
    /// Weight of an RMSNorm, `[d_model]`, initially one, never decayed.
    Norm,
    /// Weight of a linear layer, `[inputs][outputs]`.
    Linear,
}

/// One tensor of the flat weight vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name, unique in the model.
    pub name: String,
    /// What it is.
    pub kind: TensorKind,
    /// Rows (inputs of a linear layer, 1 for a norm).
    pub rows: usize,
    /// Columns (outputs of a linear layer).
    pub cols: usize,
    /// First element in the flat vector.
    pub offset: usize,
}

impl TensorSpec {
    /// Number of elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// The tensor's range of the flat vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Which of the three products of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Op {
    /// `Y = X W`.
    Forward = 0,
    /// `dX = dY W^T`.
    InputGradient = 1,
    /// `dW = X^T dY`.
    WeightGradient = 2,
}

impl Op {
    /// All three, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];

    /// The op of a code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Names one mined product: linear layer (in forward order, the head last) and operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId {
    /// Index of the linear layer: four for each decoder layer (qkv, out, gate-up, down), then the head.
    pub layer: u16,
    /// Which of its products.
    pub op: Op,
}

/// Dimensions of a product `A (m x k) * B (k x n)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of A.
    pub m: usize,
    /// Contraction.
    pub k: usize,
    /// Columns of B.
    pub n: usize,
}

impl Dims {
    /// Multiply-adds of the product.
    pub fn macs(&self) -> u64 {
        self.m as u64 * self.k as u64 * self.n as u64
    }
}

impl ModelConfig {
    /// About what a microbatch keeps in memory between its forward and backward pass, gradient included, in bytes.
    pub fn working_set_bytes(&self) -> usize {
        // Inputs, middles, their norms and the attention's output; q, k, v; probabilities; gate, up and their product.
        let a_token = self.n_layers * (8 * self.d_model + self.n_heads * self.seq_len + 3 * self.d_ff);
        size_of::<f32>() * (self.tokens() * a_token + self.weights())
    }

    /// Seconds-long tests: 0.1 M weights.
    pub const TINY: Self = Self { d_model: 64, n_layers: 2, n_heads: 2, d_ff: 128, seq_len: 32, batch: 4 };
    /// The dev chain: 3.5 M weights.
    pub const NANO: Self = Self { d_model: 256, n_layers: 4, n_heads: 4, d_ff: 768, seq_len: 128, batch: 4 };
    /// A machine with many cores: 25 M weights.
    pub const SMALL: Self = Self { d_model: 512, n_layers: 8, n_heads: 8, d_ff: 1376, seq_len: 256, batch: 4 };
    /// GPT-2-124M's width and depth (85 M weights without its large vocabulary).
    pub const GPT2: Self = Self { d_model: 768, n_layers: 12, n_heads: 12, d_ff: 2048, seq_len: 512, batch: 2 };

    /// Names that [`Self::preset`] knows.
    pub const PRESETS: [&'static str; 4] = ["tiny", "nano", "small", "gpt2"];

    /// The shape of a named preset.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "tiny" => Some(Self::TINY),
            "nano" => Some(Self::NANO),
            "small" => Some(Self::SMALL),
            "gpt2" => Some(Self::GPT2),
            _ => None,
        }
    }

    /// Checks every bound that the kernels rely on.
    ///
    /// # Errors
    /// The first rule that the shape breaks.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.n_layers == 0 || self.n_layers > 256 {
            return Err(ConfigError::Layers(self.n_layers));
        }
        if self.batch == 0
            || self.seq_len == 0
            || !self.seq_len.is_multiple_of(8)
            || self.batch > MAX_SIDE
            || self.seq_len > MAX_SIDE
        {
            return Err(ConfigError::Microbatch { batch: self.batch, seq_len: self.seq_len });
        }
        let side = |name, got: usize| {
            let fits = got.is_multiple_of(TILE) && got.is_multiple_of(RANK) && (TILE..=MAX_SIDE).contains(&got);
            if fits { Ok(()) } else { Err(ConfigError::Side { name, got }) }
        };
        side("tokens of a microbatch", self.tokens())?;
        side("d_model", self.d_model)?;
        side("d_ff", self.d_ff)?;
        // The fused layers' outputs are contracted over in the backward pass.
        side("3 * d_model", self.d_model.saturating_mul(3))?;
        side("2 * d_ff", self.d_ff.saturating_mul(2))?;
        let width = self.d_model.checked_div(self.n_heads).unwrap_or(0);
        if width * self.n_heads != self.d_model || !width.is_power_of_two() || width < 8 {
            return Err(ConfigError::HeadWidth { d_model: self.d_model, n_heads: self.n_heads });
        }
        Ok(())
    }

    /// Tokens of a microbatch.
    pub fn tokens(&self) -> usize {
        self.batch.saturating_mul(self.seq_len)
    }

    /// Width of an attention head.
    pub fn head_width(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Number of linear layers.
    pub fn linear_layers(&self) -> usize {
        4 * self.n_layers + 1
    }

    /// Inputs and outputs of a linear layer, if it exists.
    pub fn linear(&self, layer: u16) -> Option<(usize, usize)> {
        let layer = usize::from(layer);
        if layer == 4 * self.n_layers {
            return Some((self.d_model, VOCAB));
        }
        (layer < 4 * self.n_layers).then(|| match layer % 4 {
            0 => (self.d_model, 3 * self.d_model),
            1 => (self.d_model, self.d_model),
            2 => (self.d_model, 2 * self.d_ff),
            _ => (self.d_ff, self.d_model),
        })
    }

    /// The tensors whose columns, side by side, are a linear layer's weights: queries, keys and values are multiplied as
    /// one matrix, and so are gate and up. They stay tensors of their own because their gradients differ in size by
    /// orders of magnitude, and each needs its own exponent.
    pub fn linear_tensors(&self, layer: u16) -> std::ops::Range<usize> {
        let layer = usize::from(layer);
        let base = 1 + TENSORS_PER_LAYER * (layer / 4);
        if layer == 4 * self.n_layers {
            return base + 1..base + 2;
        }
        match layer % 4 {
            0 => base + 1..base + 4,
            1 => base + 4..base + 5,
            2 => base + 6..base + 8,
            _ => base + 8..base + 9,
        }
    }

    /// Dimensions of a product, if its layer exists.
    pub fn dims(&self, id: ProductId) -> Option<Dims> {
        let (inputs, outputs) = self.linear(id.layer)?;
        let tokens = self.tokens();
        Some(match id.op {
            Op::Forward => Dims { m: tokens, k: inputs, n: outputs },
            Op::InputGradient => Dims { m: tokens, k: outputs, n: inputs },
            Op::WeightGradient => Dims { m: inputs, k: tokens, n: outputs },
        })
    }

    /// All products, by layer and operation.
    pub fn products(&self) -> impl Iterator<Item = ProductId> {
        (0..self.linear_layers() as u16).flat_map(|layer| Op::ALL.map(|op| ProductId { layer, op }))
    }

    /// Multiply-adds of all mined products of one microbatch: the work that tickets measure.
    pub fn microbatch_macs(&self) -> u64 {
        self.products().filter_map(|id| self.dims(id)).map(|d| d.macs()).sum()
    }

    /// The tensors in the order of the flat weight vector.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut all = Vec::with_capacity(TENSORS_PER_LAYER * self.n_layers + 3);
        let mut offset = 0;
        let mut add = |name: String, kind, rows: usize, cols: usize| {
            all.push(TensorSpec { name, kind, rows, cols, offset });
            offset += rows * cols;
        };
        let (d, f) = (self.d_model, self.d_ff);
        add("embed".into(), TensorKind::Embedding, VOCAB, d);
        for l in 0..self.n_layers {
            add(format!("layers.{l}.attention_norm"), TensorKind::Norm, 1, d);
            add(format!("layers.{l}.q"), TensorKind::Linear, d, d);
            add(format!("layers.{l}.k"), TensorKind::Linear, d, d);
            add(format!("layers.{l}.v"), TensorKind::Linear, d, d);
            add(format!("layers.{l}.out"), TensorKind::Linear, d, d);
            add(format!("layers.{l}.mlp_norm"), TensorKind::Norm, 1, d);
            add(format!("layers.{l}.gate"), TensorKind::Linear, d, f);
            add(format!("layers.{l}.up"), TensorKind::Linear, d, f);
            add(format!("layers.{l}.down"), TensorKind::Linear, f, d);
        }
        add("final_norm".into(), TensorKind::Norm, 1, d);
        add("head".into(), TensorKind::Linear, d, VOCAB);
        all
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.tensors().last().map_or(0, |t| t.offset + t.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_named() {
        for name in ModelConfig::PRESETS {
            let config = ModelConfig::preset(name).expect("listed");
            config.validate().unwrap();
            let linear: u64 =
                config.tensors().iter().filter(|t| t.kind == TensorKind::Linear).map(|t| t.len() as u64).sum();
            assert_eq!(config.microbatch_macs(), 3 * linear * config.tokens() as u64);
            let tensors = config.tensors();
            for layer in 0..config.linear_layers() as u16 {
                let parts = &tensors[config.linear_tensors(layer)];
                let (rows, cols) = config.linear(layer).expect("layer of the model");
                assert!(parts.iter().all(|t| t.kind == TensorKind::Linear && t.rows == rows));
                assert_eq!(parts.iter().map(|t| t.cols).sum::<usize>(), cols);
            }
        }
        assert_eq!(ModelConfig::preset("huge"), None);
    }

    #[test]
    fn each_shape_rule_is_enforced() {
        let ok = ModelConfig::TINY;
        assert!(matches!(
            ModelConfig { d_model: 65, ..ok }.validate(),
            Err(ConfigError::Side { name: "d_model", got: 65 })
        ));
        assert!(matches!(ModelConfig { d_ff: 4096, ..ok }.validate(), Err(ConfigError::Side { name: "2 * d_ff", .. })));
        assert!(matches!(ModelConfig { batch: 3, seq_len: 8, ..ok }.validate(), Err(ConfigError::Side { .. })));
        assert!(matches!(ModelConfig { n_heads: 0, ..ok }.validate(), Err(ConfigError::HeadWidth { .. })));
        assert!(matches!(ModelConfig { n_heads: 3, ..ok }.validate(), Err(ConfigError::HeadWidth { .. })));
        assert!(matches!(ModelConfig { n_layers: 0, ..ok }.validate(), Err(ConfigError::Layers(0))));
        assert!(matches!(ModelConfig { batch: 0, ..ok }.validate(), Err(ConfigError::Microbatch { .. })));
    }
}
