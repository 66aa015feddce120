//! The descent node.
//!
//! - [`store`]: blocks and states on disk.

pub mod store;
