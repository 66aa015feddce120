//! The transaction pool: valid extrinsics waiting for a block, ordered by account and nonce.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use codec::{Decode, Encode};
use descent_runtime::extrinsic::extrinsic_hash;
use descent_runtime::{AccountId, ChainParams, ExtrinsicError, H256, Nonce, StateRead, storage, validate_extrinsic};
use tokio::sync::broadcast;

/// Extrinsics waiting at most.
const MAX_COUNT: usize = 4096;
/// Bytes waiting at most.
const MAX_BYTES: usize = 8 << 20;
/// Extrinsics of one account at most.
const MAX_PER_ACCOUNT: usize = 64;
/// Bytes of one account at most: nobody fills the pool alone.
const MAX_BYTES_PER_ACCOUNT: usize = MAX_BYTES / 4;
/// Bytes of a file of waiting extrinsics at most: all of them, with their lengths.
const MAX_FILE_BYTES: u64 = 2 * MAX_BYTES as u64;
/// What one that replaces another pays more, at least: a tenth. So replacing can't be used to flood the network.
const REPLACEMENT_FRACTION: u128 = 10;

/// Arrivals that a listener may fall behind; those it misses are passed on later.
const MAX_ARRIVALS: usize = 256;

/// Why an extrinsic was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// It is waiting already.
    #[error("extrinsic {0} is in the pool")]
    Known(H256),
    /// It breaks a rule of the runtime.
    #[error(transparent)]
    Invalid(#[from] ExtrinsicError),
    /// Receipts travel with their parts, not through the pool.
    #[error("receipts come from miners with their details and gradient, not as transactions")]
    Receipt,
    /// Another one with this nonce pays almost as much, or more.
    #[error("fee and tip are {got}, expected at least {expected} to replace the waiting one")]
    Underpriced {
        /// What it pays.
        got: u128,
        /// A tenth more than the waiting one pays.
        expected: u128,
    },
    /// So far ahead that it would wait for ever.
    #[error("nonce is {got}, expected at most {limit}")]
    Gap {
        /// Its nonce.
        got: Nonce,
        /// The last one that waits behind the account's next.
        limit: Nonce,
    },
    /// No room.
    #[error("pool is full")]
    Full,
}

struct Waiting {
    bytes: Vec<u8>,
    /// Fee and tip.
    price: u128,
}

#[derive(Default)]
struct Inner {
    by_account: BTreeMap<AccountId, BTreeMap<Nonce, Waiting>>,
    hashes: HashMap<H256, (AccountId, Nonce)>,
    /// Next nonces of those accounts, as of the best state that was seen last.
    next: HashMap<AccountId, Nonce>,
    bytes: usize,
    /// Nonces of the own miner's receipts, in the block that it works on.
    reserved: Option<(AccountId, Range<Nonce>)>,
}

mod room;

use room::Newcomer;

/// The pool.
pub struct Pool {
    inner: Mutex<Inner>,
    /// Held while it is written down: the file beside the old one is written by one at a time.
    saving: Mutex<()>,
    arrivals: broadcast::Sender<Vec<u8>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { inner: Mutex::default(), saving: Mutex::default(), arrivals: broadcast::channel(MAX_ARRIVALS).0 }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every method leaves the maps consistent before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Extrinsics as they enter, to be passed on.
    pub fn subscribe(&self) -> broadcast::Receiver<Vec<u8>> {
        self.arrivals.subscribe()
    }

    /// Checks an extrinsic against the best state and keeps it.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn submit(
        &self,
        params: &ChainParams,
        genesis: H256,
        state: &dyn StateRead,
        number: u32,
        bytes: Vec<u8>,
    ) -> Result<H256, PoolError> {
        let hash = extrinsic_hash(&bytes);
        if self.lock().hashes.contains_key(&hash) {
            return Err(PoolError::Known(hash));
        }
        if consensus_upow::verify::submitted_receipt(&bytes).is_some() {
            return Err(PoolError::Receipt);
        }
        let (signed, next) = match validate_extrinsic(params, genesis, state, number, &bytes) {
            // Valid once the ones before it are in, which must have room before it: it may wait.
            Err(ExtrinsicError::NonceFuture { got, expected }) => {
                let limit = expected.saturating_add(MAX_PER_ACCOUNT as Nonce);
                if got > limit {
                    return Err(PoolError::Gap { got, limit });
                }
                (descent_runtime::SignedExtrinsic::decode(&bytes)?, expected)
            }
            checked => {
                let signed = checked?;
                let next = signed.nonce;
                (signed, next)
            }
        };
        // Valid ones are shorter than a block.
        let price = params.length_fee(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).saturating_add(signed.tip);
        let mut inner = self.lock();
        let waiting = inner.by_account.get(&signed.signer);
        let old = waiting.and_then(|w| w.get(&signed.nonce));
        match old.map(|old| old.price.saturating_add(old.price.div_ceil(REPLACEMENT_FRACTION))) {
            Some(expected) if price < expected => return Err(PoolError::Underpriced { got: price, expected }),
            Some(_) => {}
            None if waiting.map_or(0, BTreeMap::len) >= MAX_PER_ACCOUNT => return Err(PoolError::Full),
            None => {}
        }
        let of_account: usize = waiting.into_iter().flat_map(BTreeMap::values).map(|w| w.bytes.len()).sum();
        if of_account - old.map_or(0, |old| old.bytes.len()) + bytes.len() > MAX_BYTES_PER_ACCOUNT {
            return Err(PoolError::Full);
        }
        // One that replaces another takes its place.
        let (count, freed) = old.map_or((inner.hashes.len(), 0), |old| (inner.hashes.len() - 1, old.bytes.len()));
        let newcomer = Newcomer { account: &signed.signer, nonce: signed.nonce, next, price, length: bytes.len() };
        for (account, nonce) in inner.give_way(&newcomer, count, inner.bytes - freed)? {
            inner.remove(&account, nonce);
        }
        inner.next.insert(signed.signer.clone(), next);
        inner.bytes += bytes.len();
        inner.hashes.insert(hash, (signed.signer.clone(), signed.nonce));
        // Nobody listening is fine.
        let _ = self.arrivals.send(bytes.clone());
        let old = inner.by_account.entry(signed.signer).or_default().insert(signed.nonce, Waiting { bytes, price });
        if let Some(old) = old {
            inner.bytes -= old.bytes.len();
            inner.hashes.remove(&extrinsic_hash(&old.bytes));
        }
        Ok(hash)
    }

    /// Takes back what left the best chain with its blocks, as far as it is still valid and not a receipt.
    pub fn take_back(
        &self,
        params: &ChainParams,
        genesis: H256,
        state: &dyn StateRead,
        number: u32,
        extrinsics: impl IntoIterator<Item = Vec<u8>>,
    ) {
        for bytes in extrinsics {
            if let Err(error) = self.submit(params, genesis, state, number, bytes) {
                tracing::debug!(%error, "extrinsic of a retracted block not taken back");
            }
        }
    }

    /// Writes down what waits: beside the old file first, so that a crash leaves one of them.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        // The lock guards no data.
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&self.waiting().encode())?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    }

    /// Takes in what was written down, as far as it is still valid; how many. A file that can't be read is left alone:
    /// who sent a transaction still has it.
    pub fn load(&self, path: &Path, params: &ChainParams, genesis: H256, state: &dyn StateRead, number: u32) -> usize {
        let is_short = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= MAX_FILE_BYTES);
        let bytes = if is_short { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        let waiting = Vec::<Vec<u8>>::decode(&mut &bytes[..]).unwrap_or_default();
        waiting.into_iter().filter(|bytes| self.submit(params, genesis, state, number, bytes.clone()).is_ok()).count()
    }

    /// Everything waiting, accounts in turn, nonces ascending.
    pub fn waiting(&self) -> Vec<Vec<u8>> {
        self.lock().by_account.values().flat_map(BTreeMap::values).map(|w| w.bytes.clone()).collect()
    }

    /// Those of one account that the next block can include, nonces ascending from `next` without a gap.
    pub fn ready(&self, account: &AccountId, next: Nonce) -> Vec<Vec<u8>> {
        let inner = self.lock();
        let waiting = inner.by_account.get(account);
        let waiting = waiting.into_iter().flat_map(|w| w.range(next..));
        waiting
            .zip(next..)
            .take_while(|((nonce, _), expected)| *nonce == expected)
            .map(|((_, w), _)| w.bytes.clone())
            .collect()
    }

    /// Nonce of an account's next extrinsic, when the state says `next`: after those waiting and those reserved.
    pub fn next_nonce(&self, account: &AccountId, next: Nonce) -> Nonce {
        let inner = self.lock();
        let waiting = inner.by_account.get(account);
        let reserved = inner.reserved.as_ref().filter(|(miner, _)| miner == account).map(|(_, nonces)| nonces);
        let is_taken = |nonce: &Nonce| {
            waiting.is_some_and(|w| w.contains_key(nonce)) || reserved.is_some_and(|nonces| nonces.contains(nonce))
        };
        (next..).find(|nonce| !is_taken(nonce)).unwrap_or(Nonce::MAX)
    }

    /// Keeps nonces for the own miner's receipts, instead of those kept before: clients sign with the ones behind them.
    pub fn reserve(&self, account: &AccountId, nonces: Range<Nonce>) {
        self.lock().reserved = Some((account.clone(), nonces));
    }

    /// Number waiting.
    pub fn len(&self) -> usize {
        self.lock().hashes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what the new best state has made invalid: included, outdated, unpayable.
    pub fn prune(&self, params: &ChainParams, genesis: H256, state: &dyn StateRead, number: u32) {
        let stale: Vec<(H256, AccountId, Nonce)> = {
            let inner = self.lock();
            let is_stale = |bytes: &[u8]| {
                !matches!(
                    validate_extrinsic(params, genesis, state, number, bytes),
                    Ok(_) | Err(ExtrinsicError::NonceFuture { .. })
                )
            };
            let all = inner.by_account.iter().flat_map(|(a, w)| w.iter().map(move |(n, w)| (a, n, w)));
            all.filter(|(_, _, w)| is_stale(&w.bytes))
                .map(|(a, n, w)| (extrinsic_hash(&w.bytes), a.clone(), *n))
                .collect()
        };
        let mut inner = self.lock();
        for (hash, account, nonce) in stale {
            // Replaced since it was looked at: the other one stays.
            if inner.hashes.contains_key(&hash) {
                inner.remove(&account, nonce);
            }
        }
        for (account, next) in &mut inner.next {
            // What fails here fails again, and is reported, when the account's extrinsics are looked at.
            if let Ok(info) = storage::ACCOUNT.get_or_default(state, account) {
                *next = info.nonce;
            }
        }
    }
}

#[cfg(test)]
mod tests;
