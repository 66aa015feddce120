//! Room in the pool: when it is full, what can't be included yet gives way first, then what pays least for its bytes.

use std::cmp::Reverse;

use descent_runtime::extrinsic::extrinsic_hash;
use descent_runtime::{AccountId, Nonce};

use super::{Inner, MAX_BYTES, MAX_COUNT, PoolError};

/// An extrinsic that looks for room.
pub(super) struct Newcomer<'a> {
    pub(super) account: &'a AccountId,
    pub(super) nonce: Nonce,
    /// The account's next nonce in the state.
    pub(super) next: Nonce,
    pub(super) price: u128,
    pub(super) length: usize,
}

/// Worth of an extrinsic: whether it could be included now, and what it pays for each byte.
type Worth = (bool, u128);

fn rate(price: u128, length: usize) -> u128 {
    price / (length as u128).max(1)
}

impl Inner {
    /// Those that leave so that a newcomer has room beside `count` others of `bytes` bytes; each is worth less than it.
    pub(super) fn give_way(
        &self,
        newcomer: &Newcomer<'_>,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<(AccountId, Nonce)>, PoolError> {
        let (mut count, mut bytes) = (count.saturating_add(1), bytes.saturating_add(newcomer.length));
        let mut leaving = Vec::new();
        if count <= MAX_COUNT && bytes <= MAX_BYTES {
            return Ok(leaving);
        }
        let worth = (self.is_ready(newcomer), rate(newcomer.price, newcomer.length));
        for (worth_less, account, nonce, length) in self.by_worth(newcomer.account) {
            if (count <= MAX_COUNT && bytes <= MAX_BYTES) || worth_less >= worth {
                break;
            }
            (count, bytes) = (count - 1, bytes - length);
            leaving.push((account.clone(), nonce));
        }
        if count <= MAX_COUNT && bytes <= MAX_BYTES { Ok(leaving) } else { Err(PoolError::Full) }
    }

    /// Whether all nonces before a newcomer's wait.
    fn is_ready(&self, newcomer: &Newcomer<'_>) -> bool {
        let waiting = self.by_account.get(newcomer.account);
        (newcomer.next..newcomer.nonce).all(|nonce| waiting.is_some_and(|w| w.contains_key(&nonce)))
    }

    /// Everything of other accounts, the least worth first. None is worth more than the ones before it in its account, so
    /// that no gap is made: the last nonce leaves first.
    fn by_worth(&self, except: &AccountId) -> Vec<(Worth, &AccountId, Nonce, usize)> {
        let mut all = Vec::with_capacity(self.hashes.len());
        for (account, waiting) in self.by_account.iter().filter(|(account, _)| *account != except) {
            let mut expected = self.next.get(account).copied().unwrap_or(0);
            let mut worth = (true, u128::MAX);
            for (nonce, w) in waiting {
                worth = worth.min((*nonce == expected, rate(w.price, w.bytes.len())));
                all.push((worth, account, *nonce, w.bytes.len()));
                expected = expected.saturating_add(1);
            }
        }
        all.sort_by_key(|(worth, _, nonce, _)| (*worth, Reverse(*nonce)));
        all
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, account: &AccountId, nonce: Nonce) {
        let Some(waiting) = self.by_account.get_mut(account) else { return };
        if let Some(old) = waiting.remove(&nonce) {
            self.bytes -= old.bytes.len();
            self.hashes.remove(&extrinsic_hash(&old.bytes));
        }
        if waiting.is_empty() {
            self.by_account.remove(account);
            self.next.remove(account);
        }
    }
}
