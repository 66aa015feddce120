//! Answers to what peers ask, from the store. Called on blocking threads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use codec::Encode;
use descent_runtime::{ChainParams, H256};

use super::groups;
use super::wire::{
    FRAMING_BYTES, HEADERS_BYTES, MAX_HEADERS, MAX_HEADERS_RESPONSE_BYTES, PartGroup, PartRequest, ProvenHeader,
    Request, Response, Status,
};
use crate::chain::Chain;
use crate::store::{StoreError, StoredBody};

/// Bytes of parts kept with their group hashes: one part is asked for group by group, often by several peers.
const CACHE_BYTES: usize = 64 << 20;

/// Bytes of the longest response on a chain; each kind must fit.
pub fn max_response(params: &ChainParams) -> usize {
    // A length of up to four bytes comes before each extrinsic, which a signature alone makes far longer.
    let body = 2 * params.max_block_bytes as usize;
    let part = groups::GROUP_BYTES + 32 * groups::count(params.max_blob_bytes as usize);
    MAX_HEADERS_RESPONSE_BYTES.max(body.max(part) + FRAMING_BYTES)
}

/// A part with the hashes of its groups.
type Cached = Arc<(Vec<u8>, Vec<[u8; 32]>)>;

/// What answers.
pub struct Server {
    chain: Arc<Chain>,
    mines: bool,
    cache: Mutex<VecDeque<(H256, Cached)>>,
}

impl Server {
    /// Answers for a chain.
    pub fn new(chain: Arc<Chain>, mines: bool) -> Self {
        Self { chain, mines, cache: Mutex::new(VecDeque::new()) }
    }

    /// Where the own chain stands.
    ///
    /// # Errors
    /// The store's.
    pub fn status(&self) -> Result<Status, StoreError> {
        let best = self.chain.best()?;
        let work = self.chain.store().meta(&best.hash)?.map(|m| m.facts.work).unwrap_or_default();
        Ok(Status { number: best.number, hash: best.hash, work, mines: self.mines })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The store's.
    pub fn answer(&self, request: &Request) -> Result<Response, StoreError> {
        self.answer_counting(request, &mut 0)
    }

    /// Answers a request, and counts the bytes read for it, which may be far more than those of the response.
    ///
    /// # Errors
    /// The store's.
    pub fn answer_counting(&self, request: &Request, read: &mut usize) -> Result<Response, StoreError> {
        let mut body = |hash: &H256| -> Result<Option<StoredBody>, StoreError> {
            let body = self.chain.store().body(hash)?;
            *read += body.as_ref().map_or(0, Encode::encoded_size);
            Ok(body)
        };
        match request {
            Request::Status(_) => Ok(Response::Status(self.status()?)),
            Request::Headers(locator) => self.headers(locator, body),
            Request::Witness(hash) => {
                Ok(body(hash)?.map_or(Response::NotFound, |body| Response::Witness(body.witness)))
            }
            Request::Body(hash) => {
                Ok(body(hash)?.map_or(Response::NotFound, |body| Response::Body(body.extrinsics.encode())))
            }
            Request::Part(part) => self.part(part, read),
        }
    }

    /// Headers of the best chain behind the first hash of the locator that is on it.
    fn headers(
        &self,
        locator: &[H256],
        mut body: impl FnMut(&H256) -> Result<Option<StoredBody>, StoreError>,
    ) -> Result<Response, StoreError> {
        let store = self.chain.store();
        let mut start = None;
        for hash in locator {
            if let Some(meta) = store.meta(hash)?
                && store.hash_at(meta.number)? == Some(*hash)
            {
                start = Some((meta.number, *hash));
                break;
            }
        }
        let mut headers: Vec<ProvenHeader> = Vec::new();
        let (Some((mut number, mut parent)), mut bytes) = (start, 0) else { return Ok(Response::Headers(headers)) };
        while headers.len() < MAX_HEADERS && bytes < HEADERS_BYTES {
            let Some(hash) = number.checked_add(1).map(|n| store.hash_at(n)).transpose()?.flatten() else { break };
            let (Some(header), Some(body)) = (store.header(&hash)?, body(&hash)?) else { break };
            // The best chain may move between two reads.
            if header.parent_hash != parent {
                break;
            }
            (number, parent) = (header.number, hash);
            let proven = ProvenHeader { header, witness: body.witness };
            bytes += proven.encoded_size();
            headers.push(proven);
        }
        Ok(Response::Headers(headers))
    }

    fn part(&self, request: &PartRequest, read: &mut usize) -> Result<Response, StoreError> {
        // Before anything is read: a group that no part of this length has.
        if request.group as usize >= groups::count(request.length as usize) {
            return Ok(Response::NotFound);
        }
        let Some(part) = self.cached(&request.digest, read)? else { return Ok(Response::NotFound) };
        let (bytes, hashes) = &*part;
        if bytes.len() != request.length as usize {
            return Ok(Response::NotFound);
        }
        let range = groups::range(bytes.len(), request.group);
        Ok(Response::Part(PartGroup { hashes: hashes.clone(), bytes: bytes[range].to_vec() }))
    }

    fn cached(&self, digest: &H256, read: &mut usize) -> Result<Option<Cached>, StoreError> {
        let known = |cache: &mut VecDeque<(H256, Cached)>| {
            let at = cache.iter().position(|(d, _)| d == digest)?;
            let entry = cache.remove(at)?;
            cache.push_back(entry.clone());
            Some(entry.1)
        };
        // A panic under the lock leaves a cache that is still one.
        if let Some(part) = known(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(part));
        }
        let Some(bytes) = self.chain.store().sidecar(digest)? else { return Ok(None) };
        *read += bytes.len();
        let hashes = groups::hashes(&bytes);
        let part = Arc::new((bytes, hashes));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.push_back((*digest, part.clone()));
        let mut total: usize = cache.iter().map(|(_, part)| part.0.len()).sum();
        while total > CACHE_BYTES && cache.len() > 1 {
            total -= cache.pop_front().map_or(0, |(_, part)| part.0.len());
        }
        Ok(Some(part))
    }
}
