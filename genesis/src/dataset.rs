//! The bytes that a chain trains on. A specification fixes their length and BLAKE3 root.

use std::sync::Arc;

use descent_runtime::H256;

/// This project's own sources and prose at one commit, made by `scripts/make-dataset.sh`: what the built-in chains train
/// on, so that a node needs no download to start.
const CORPUS: &[u8] = include_bytes!("../data/corpus.txt");

/// A dataset in memory, with its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    bytes: Arc<[u8]>,
    root: H256,
}

/// Bytes that are not a chain's dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// Nothing to train on.
    #[error("dataset is empty, expected {expected} bytes")]
    Empty {
        /// Length in the specification.
        expected: u64,
    },
    /// Bytes are missing: perhaps an interrupted download.
    #[error("dataset is too short: {got} bytes, expected {expected}")]
    TooShort {
        /// Length found.
        got: u64,
        /// Length in the specification.
        expected: u64,
    },
    /// There are more bytes than expected.
    #[error("dataset is too long: {got} bytes, expected {expected}")]
    TooLong {
        /// Length found.
        got: u64,
        /// Length in the specification.
        expected: u64,
    },
    /// The length is right, the contents are not.
    #[error("dataset is altered: root {got:?}, expected {expected:?}")]
    Altered {
        /// Root found.
        got: H256,
        /// Root in the specification.
        expected: H256,
    },
}

/// The root of a dataset: its BLAKE3 hash, whose tree lets any part be proven alone.
pub fn dataset_root(bytes: &[u8]) -> H256 {
    H256(*blake3::hash(bytes).as_bytes())
}

impl Dataset {
    /// The built-in dataset.
    pub fn embedded() -> Self {
        Self { bytes: CORPUS.into(), root: dataset_root(CORPUS) }
    }

    /// Accepts bytes that are what a specification says. Lengths are compared first: they cost nothing.
    ///
    /// # Errors
    ///
    /// The way in which the bytes differ.
    pub fn from_bytes(
        bytes: impl Into<Arc<[u8]>>,
        expected_root: H256,
        expected_len: u64,
    ) -> Result<Self, DatasetError> {
        let bytes = bytes.into();
        // usize fits u64 on every target there is.
        let (got, expected) = (bytes.len() as u64, expected_len);
        if got == 0 {
            return Err(DatasetError::Empty { expected });
        }
        if got < expected {
            return Err(DatasetError::TooShort { got, expected });
        }
        if got > expected {
            return Err(DatasetError::TooLong { got, expected });
        }
        let root = dataset_root(&bytes);
        if root != expected_root {
            return Err(DatasetError::Altered { got: root, expected: expected_root });
        }
        Ok(Self { bytes, root })
    }

    /// The bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Their root.
    pub fn root(&self) -> H256 {
        self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_dataset_is_the_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/corpus.txt");
        let file = std::fs::read(path).unwrap();
        let dataset = Dataset::embedded();
        assert_eq!(dataset.root(), dataset_root(&file));
        assert_eq!(dataset.bytes()[..], file[..]);
        let text = str::from_utf8(&file).expect("UTF-8");
        assert!(text.starts_with("=== "), "begins with {:?}", text.lines().next());
    }

    #[test]
    fn each_difference_has_its_name() {
        let bytes = b"to be or not to be".to_vec();
        let (root, len) = (dataset_root(&bytes), bytes.len() as u64);
        assert_eq!(Dataset::from_bytes(bytes.clone(), root, len).unwrap().root(), root);

        let check = |bytes: &[u8]| Dataset::from_bytes(bytes, root, len).unwrap_err();
        assert_eq!(check(b""), DatasetError::Empty { expected: 18 });
        assert_eq!(check(&bytes[1..]), DatasetError::TooShort { got: 17, expected: 18 });
        assert_eq!(check(b"to be or not to be?"), DatasetError::TooLong { got: 19, expected: 18 });
        let altered = b"to be or not to bo";
        assert_eq!(check(altered), DatasetError::Altered { got: dataset_root(altered), expected: root });
    }
}
