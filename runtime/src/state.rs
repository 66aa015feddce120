//! Reading state, and changing it in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What a block changes: a new value, or none where the key goes away.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// State that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The backend failed; the text is its own.
    #[error("state backend: {0}")]
    Backend(String),
    /// A stored value does not decode as its item's type.
    #[error("stored value of {item} does not decode")]
    Corrupt {
        /// Pallet and name of the storage item.
        item: String,
    },
    /// A value that every state has is not there.
    #[error("stored value of {item} is missing")]
    Missing {
        /// Pallet and name of the storage item.
        item: String,
    },
}

/// A state that can be read by key.
pub trait StateRead {
    /// The value under a key, if there is one.
    ///
    /// # Errors
    ///
    /// When the backend fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

impl<T: StateRead + ?Sized> StateRead for &T {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).get(key)
    }
}

/// Changes alone are a state: that of a chain on which nothing else was ever written.
impl StateRead for Changes {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(BTreeMap::get(self, key).cloned().flatten())
    }
}

/// A state with changes on top, which can be undone back to a mark.
pub struct Overlay<'a> {
    base: &'a dyn StateRead,
    changes: Changes,
    /// Every write, to be undone.
    undo: Vec<Write>,
}

/// A write's key, and what `changes` held under it before.
type Write = (Vec<u8>, Option<Option<Vec<u8>>>);

/// A point in an overlay's history.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl<'a> Overlay<'a> {
    /// Starts without changes.
    pub fn new(base: &'a dyn StateRead) -> Self {
        Self { base, changes: Changes::new(), undo: Vec::new() }
    }

    /// The state below the changes.
    pub fn base(&self) -> &'a dyn StateRead {
        self.base
    }

    /// The changes so far.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Ends the overlay and returns its changes.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// Writes a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key, Some(value));
    }

    /// Removes a value.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.write(key, None);
    }

    /// The present point, to go back to.
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Undoes every write since the mark.
    pub fn rollback(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            let Some((key, previous)) = self.undo.pop() else { return };
            match previous {
                Some(value) => self.changes.insert(key, value),
                None => self.changes.remove(&key),
            };
        }
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let previous = match self.changes.entry(key.clone()) {
            Entry::Occupied(mut entry) => Some(entry.insert(value)),
            Entry::Vacant(entry) => {
                entry.insert(value);
                None
            }
        };
        self.undo.push((key, previous));
    }
}

impl StateRead for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollback_restores_what_the_mark_saw() {
        let base = Changes::from([(b"a".to_vec(), Some(b"0".to_vec()))]);
        let mut overlay = Overlay::new(&base);
        overlay.put(b"b".to_vec(), b"1".to_vec());
        let mark = overlay.mark();
        overlay.put(b"b".to_vec(), b"2".to_vec());
        overlay.delete(b"a".to_vec());
        overlay.put(b"c".to_vec(), b"3".to_vec());
        assert_eq!(overlay.get(b"a"), Ok(None));
        overlay.rollback(mark);
        assert_eq!(overlay.get(b"a"), Ok(Some(b"0".to_vec())));
        assert_eq!(overlay.get(b"b"), Ok(Some(b"1".to_vec())));
        assert_eq!(overlay.get(b"c"), Ok(None));
        assert_eq!(overlay.changes().len(), 1);
    }
}
