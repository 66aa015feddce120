//! Large temporaries that outlive their use: a microbatch finds those of the one before, so that in the steady state
//! no memory is asked for, cleared, or touched for the first time.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Spare buffers of one element type, by length. A process holds as many as were ever in use at once.
#[derive(Debug)]
pub struct Pool<T>(Mutex<BTreeMap<usize, Vec<Vec<T>>>>);

impl<T> Pool<T> {
    pub(crate) const fn empty() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn take(&self, len: usize) -> Option<Vec<T>> {
        // Taking and giving leave the map whole at every point where they could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&len)?.pop()
    }

    fn give(&self, values: Vec<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(values.len()).or_default().push(values);
    }
}

/// An element that has a pool.
pub trait Pooled: Copy + 'static {
    /// What new buffers hold; in tests also reused ones, so that results which depend on stale content show.
    const FILL: Self;

    /// The process's pool of this type.
    fn pool() -> &'static Pool<Self>;
}

/// Gives a type its pool.
macro_rules! pooled {
    ($element:ty, $fill:expr) => {
        impl $crate::buffer::Pooled for $element {
            const FILL: Self = $fill;

            fn pool() -> &'static $crate::buffer::Pool<Self> {
                static POOL: $crate::buffer::Pool<$element> = $crate::buffer::Pool::empty();
                &POOL
            }
        }
    };
}
pub(crate) use pooled;

pooled!(f32, f32::NAN);
pooled!(i8, -128);

/// A slice of fixed length that returns to the pool when it is dropped.
#[derive(Debug)]
pub struct Buffer<T: Pooled>(Vec<T>);

impl<T: Pooled> Buffer<T> {
    /// `len` elements of any value: the caller writes each before it is read.
    pub(crate) fn stale(len: usize) -> Self {
        let Some(mut values) = T::pool().take(len) else {
            return Self(vec![T::FILL; len]);
        };
        if cfg!(test) {
            values.fill(T::FILL);
        }
        Self(values)
    }

    /// `len` times `value`.
    pub(crate) fn filled(value: T, len: usize) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(value);
        buffer
    }

    /// A copy of a slice.
    pub(crate) fn copied(values: &[T]) -> Self {
        let mut buffer = Self::stale(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T: Pooled> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Pooled> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::copied(self)
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        T::pool().give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back() {
        // A length that no other test uses.
        let first = Buffer::filled(1.0_f32, 1_000_003);
        let at = first.as_ptr();
        let other = first.clone();
        assert_ne!(other.as_ptr(), at);
        assert_eq!(other[1_000_002], 1.0);
        drop(first);
        let again = Buffer::<f32>::stale(1_000_003);
        assert_eq!(again.as_ptr(), at);
        assert!(again.iter().all(|x| x.is_nan()));
        assert_eq!(Buffer::<f32>::stale(0).len(), 0);
    }
}
