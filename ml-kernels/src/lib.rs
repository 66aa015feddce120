//! Bit-exact training kernels: one function, one result, the same bits on every processor, thread count and SIMD level.
//!
//! - [`config`]: the model's shape, its tensors, the matrix products of a microbatch.
//! - [`product`]: int7 products, plain and mined (noise, fold, peel, tickets). `product::reference` is their specification.
//! - [`norm`], [`rope`], [`attention`], [`swiglu`], [`loss`]: the rest of a decoder, in f32 with a documented order of operations
//!   ([`math`]). One body serves every platform ([`platform`]); Rust never contracts or reorders float arithmetic.
//! - [`microbatch`]: forward, backward and the integer gradient; [`gradient`] rounds it, [`lattice`] hashes it.
//! - [`weights`] and [`optimizer`]: initial weights, operands of a round, the bounded AdamW step.
//! - [`ops`]: the product as a differentiable candle operation; [`baseline`]: the same model in candle f32, for comparison.
//! - [`buffer`]: memory that one microbatch leaves to the next.
//! - [`rng`]: the counter-based generator that every random bit comes from.
//!
//! The crate is pure: no clocks, environment, files or sockets; threads only through rayon's current pool. Kernels are
//! total: NaN becomes zero, magnitudes clamp at 2^60, and no value of any tensor makes one panic.

pub mod attention;
pub mod baseline;
pub mod buffer;
pub mod config;
pub mod error;
pub mod gradient;
pub mod lattice;
pub mod loss;
pub mod math;
pub mod microbatch;
pub mod norm;
pub mod ops;
pub mod optimizer;
pub mod platform;
pub mod product;
pub mod rng;
pub mod rope;
pub mod swiglu;
pub mod weights;
