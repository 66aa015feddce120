//! Bit-exact training kernels.
pub mod platform;
pub mod rng;
