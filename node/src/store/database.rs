//! RocksDB behind three small things: point reads, writes that are all or nothing, snapshots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamily, DB, IteratorMode, Snapshot, WriteBatch, WriteOptions};

use super::StoreError;
use super::columns::Column;
use super::read::Read;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// An open database.
pub(super) struct Database {
    db: DB,
    path: PathBuf,
}

impl Database {
    pub(super) fn new(db: DB, path: &Path) -> Self {
        Self { db, path: path.to_owned() }
    }

    pub(super) fn snapshot(&self) -> View<'_> {
        View { database: self, snapshot: self.db.snapshot() }
    }

    pub(super) fn transaction(&self) -> Transaction<'_> {
        Transaction { database: self, pending: BTreeMap::new() }
    }

    fn handle(&self, column: Column) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::corrupted(&self.path, format!("column {} is missing", column.name()));
        self.db.cf_handle(column.name()).ok_or_else(missing)
    }

    fn rocks(&self, error: rocksdb::Error) -> StoreError {
        StoreError::rocks(&self.path, error)
    }
}

impl Read for Database {
    fn path(&self) -> &Path {
        &self.path
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.handle(column)?, key).map_err(|error| self.rocks(error))
    }

    fn has(&self, column: Column, key: &[u8]) -> Result<bool, StoreError> {
        let value = self.db.get_pinned_cf(self.handle(column)?, key);
        value.map(|value| value.is_some()).map_err(|error| self.rocks(error))
    }

    fn scan(&self, column: Column, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.snapshot().scan(column, prefix)
    }
}

/// The database as it was at one moment.
pub(super) struct View<'a> {
    database: &'a Database,
    snapshot: Snapshot<'a>,
}

impl View<'_> {
    /// Pairs in the order of keys: those that start with the prefix and are not below `from`.
    pub(super) fn pairs<'v>(
        &'v self,
        column: Column,
        prefix: &'v [u8],
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>> + 'v, StoreError> {
        let start = from.max(prefix);
        let mode = IteratorMode::From(start, rocksdb::Direction::Forward);
        let pairs = self.snapshot.iterator_cf(self.database.handle(column)?, mode);
        Ok(pairs
            .map(|pair| match pair {
                Ok((key, value)) => Ok((key.into_vec(), value.into_vec())),
                Err(error) => Err(self.database.rocks(error)),
            })
            .take_while(|pair| pair.as_ref().map_or(true, |(key, _)| key.starts_with(prefix))))
    }
}

impl Read for View<'_> {
    fn path(&self) -> &Path {
        &self.database.path
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let handle = self.database.handle(column)?;
        self.snapshot.get_cf(handle, key).map_err(|error| self.database.rocks(error))
    }

    fn has(&self, column: Column, key: &[u8]) -> Result<bool, StoreError> {
        let value = self.snapshot.get_pinned_cf(self.database.handle(column)?, key);
        value.map(|value| value.is_some()).map_err(|error| self.database.rocks(error))
    }

    fn scan(&self, column: Column, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.pairs(column, prefix, prefix)?.collect()
    }
}

/// Writes that take effect together or not at all; reads through it see them already.
///
/// The store has one writer at a time, so what is read below the pending writes does not change.
pub(super) struct Transaction<'a> {
    database: &'a Database,
    pending: BTreeMap<(Column, Vec<u8>), Option<Vec<u8>>>,
}

impl Transaction<'_> {
    pub(super) fn put(&mut self, column: Column, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.pending.insert((column, key.into()), Some(value.into()));
    }

    pub(super) fn delete(&mut self, column: Column, key: impl Into<Vec<u8>>) {
        self.pending.insert((column, key.into()), None);
    }

    /// Puts a value, or deletes the key where there is none.
    pub(super) fn set(&mut self, column: Column, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.pending.insert((column, key), value);
    }

    /// Writes everything and waits until it is on disk.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for ((column, key), value) in self.pending {
            let handle = self.database.handle(column)?;
            match value {
                Some(value) => batch.put_cf(handle, key, value),
                None => batch.delete_cf(handle, key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database.db.write_opt(batch, &options).map_err(|error| self.database.rocks(error))
    }
}

impl Read for Transaction<'_> {
    fn path(&self) -> &Path {
        &self.database.path
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.pending.get(&(column, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.database.get(column, key),
        }
    }

    fn has(&self, column: Column, key: &[u8]) -> Result<bool, StoreError> {
        match self.pending.get(&(column, key.to_vec())) {
            Some(value) => Ok(value.is_some()),
            None => self.database.has(column, key),
        }
    }

    fn scan(&self, column: Column, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let mut pairs: BTreeMap<_, _> = self.database.scan(column, prefix)?.into_iter().collect();
        let pending = self.pending.range((column, prefix.to_vec())..);
        for ((_, key), value) in pending.take_while(|((at, key), _)| *at == column && key.starts_with(prefix)) {
            match value {
                Some(value) => pairs.insert(key.clone(), value.clone()),
                None => pairs.remove(key),
            };
        }
        Ok(pairs.into_iter().collect())
    }
}
