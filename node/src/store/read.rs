//! Typed reading, the same over the database, a snapshot of it and a pending transaction.

use std::path::Path;

use codec::DecodeAll;
use descent_runtime::{H256, Header};

use super::StoreError;
use super::columns::{Column, hash_key, keys, trailing_hash};
use super::database::Pair;
use super::records::{BlockMeta, BlockRef, Journal, StoredBody, Undo};

/// Something that holds the columns.
///
/// Methods in the plural or returning an `Option` ask; the others read what must be there, and call
/// the database corrupted when it is not.
pub(super) trait Read {
    /// The database folder, for errors.
    fn path(&self) -> &Path;

    /// The value under a key.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether there is a value under a key, without copying it.
    fn has(&self, column: Column, key: &[u8]) -> Result<bool, StoreError>;

    /// All pairs whose key starts with the prefix, in the order of keys.
    fn scan(&self, column: Column, prefix: &[u8]) -> Result<Vec<Pair>, StoreError>;

    fn decode<T: DecodeAll>(&self, column: Column, key: &[u8]) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.get(column, key)? else {
            return Ok(None);
        };
        let malformed = |error| StoreError::corrupted(self.path(), format!("{}: {error}", describe(column, key)));
        T::decode_all(&mut &bytes[..]).map(Some).map_err(malformed)
    }

    fn expect<T: DecodeAll>(&self, column: Column, key: &[u8]) -> Result<T, StoreError> {
        let missing = || StoreError::corrupted(self.path(), format!("{} is missing", describe(column, key)));
        self.decode(column, key)?.ok_or_else(missing)
    }

    fn header(&self, hash: &H256) -> Result<Option<Header>, StoreError> {
        self.decode(Column::Headers, hash.as_bytes())
    }

    fn body(&self, hash: &H256) -> Result<Option<StoredBody>, StoreError> {
        self.decode(Column::Bodies, hash.as_bytes())
    }

    fn meta(&self, hash: &H256) -> Result<Option<BlockMeta>, StoreError> {
        self.decode(Column::Meta, hash.as_bytes())
    }

    fn hash_at(&self, number: u32) -> Result<Option<H256>, StoreError> {
        self.decode(Column::Numbers, &number.to_be_bytes())
    }

    fn known_meta(&self, hash: &H256) -> Result<BlockMeta, StoreError> {
        self.expect(Column::Meta, hash.as_bytes())
    }

    fn known_hash_at(&self, number: u32) -> Result<H256, StoreError> {
        self.expect(Column::Numbers, &number.to_be_bytes())
    }

    fn journal(&self, hash: &H256) -> Result<Journal, StoreError> {
        self.expect(Column::Journal, hash.as_bytes())
    }

    fn undo(&self, hash: &H256) -> Result<Undo, StoreError> {
        self.expect(Column::Undo, hash.as_bytes())
    }

    fn best(&self) -> Result<BlockRef, StoreError> {
        self.expect(Column::Chain, keys::BEST)
    }

    fn finalized(&self) -> Result<BlockRef, StoreError> {
        self.expect(Column::Chain, keys::FINALIZED)
    }

    fn children(&self, hash: &H256) -> Result<Vec<H256>, StoreError> {
        self.hashes(Column::Children, hash.as_bytes())
    }

    fn leaves(&self) -> Result<Vec<BlockRef>, StoreError> {
        let hashes = self.hashes(Column::Leaves, &[])?;
        let leaf = |hash: H256| Ok(BlockRef { number: self.expect(Column::Leaves, hash.as_bytes())?, hash });
        hashes.into_iter().map(leaf).collect()
    }

    fn sidecar(&self, digest: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(Column::Sidecars, digest.as_bytes())
    }

    fn checkpoint(&self, root: &H256) -> Result<Option<Vec<u32>>, StoreError> {
        self.decode(Column::Checkpoints, root.as_bytes())
    }

    /// A part that the checkpoint's list names.
    fn checkpoint_part(&self, root: &H256, part: u32) -> Result<Vec<u8>, StoreError> {
        let key = hash_key(root, &part.to_be_bytes());
        let missing = || StoreError::corrupted(self.path(), format!("part {part} of checkpoint {root} is missing"));
        self.get(Column::CheckpointParts, &key)?.ok_or_else(missing)
    }

    /// The hashes at the end of all keys with a prefix.
    fn hashes(&self, column: Column, prefix: &[u8]) -> Result<Vec<H256>, StoreError> {
        let hash = |(key, _): Pair| {
            let short = || StoreError::corrupted(self.path(), format!("{} has no hash", describe(column, &key)));
            trailing_hash(&key).ok_or_else(short)
        };
        self.scan(column, prefix)?.into_iter().map(hash).collect()
    }

    /// Whether a block is the given one or descends from it.
    ///
    /// Walks back from the block only until it meets the best chain, of which `ancestor` must be.
    fn descends_from(&self, block: BlockRef, ancestor: BlockRef) -> Result<bool, StoreError> {
        let mut at = block;
        while at.number > ancestor.number {
            if self.hash_at(at.number)? == Some(at.hash) {
                return Ok(true);
            }
            at = BlockRef { number: at.number - 1, hash: self.known_meta(&at.hash)?.parent };
        }
        Ok(at == ancestor)
    }
}

fn describe(column: Column, key: &[u8]) -> String {
    let readable = column == Column::Chain;
    let key = if readable { String::from_utf8_lossy(key).into_owned() } else { format!("0x{}", hex::encode(key)) };
    format!("record {key} of column {}", column.name())
}
