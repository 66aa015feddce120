//! What a kernel refuses.

use crate::product::ProductError;

/// A shape or length that doesn't fit the model; values never cause an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice of another length than the model says.
    #[error("{name} has {got} elements, expected {expected}")]
    Length {
        /// Which slice.
        name: &'static str,
        /// Its length.
        got: usize,
        /// The length the model asks for.
        expected: usize,
    },
    /// A product's own rule.
    #[error(transparent)]
    Product(#[from] ProductError),
}
