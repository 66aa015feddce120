//! From running sums to tickets: the state of a tile and its keyed hash, eight states at a time.

use super::{Candidate, below};
use crate::platform::{Platform, dispatch};

/// States hashed together.
const LANES: usize = 8;

/// The initial value of SHA-256 and BLAKE3 (BLAKE3 paper, table 1).
const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
/// The permutation of the message words between rounds (BLAKE3 paper, table 2).
const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
/// CHUNK_START, CHUNK_END, ROOT and KEYED_HASH (BLAKE3 paper, table 3): one keyed block is the whole tree.
const FLAGS: u32 = 1 | 2 | 8 | 16;
const ROUNDS: usize = 7;

/// One word of every lane.
type Word = [u32; LANES];

/// The 64-byte state: the coordinates, then fold `s` rotated and XORed into half `s & 1`; words little-endian.
pub(super) fn state(row: u32, col: u32, folds: impl Iterator<Item = [u32; 8]>) -> [u8; 64] {
    let mut halves = [[row, col, 0, 0, 0, 0, 0, 0], [0; 8]];
    for (s, fold) in folds.enumerate() {
        for (word, w) in halves[s & 1].iter_mut().zip(fold) {
            *word = word.rotate_left(13) ^ w;
        }
    }
    let mut out = [0; 64];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(halves.as_flattened()) {
        *bytes = word.to_le_bytes();
    }
    out
}

/// Collects the tiles whose ticket, `BLAKE3_keyed(key_A, state)`, is below a threshold.
#[derive(Clone)]
pub(super) struct Tickets<'a> {
    platform: Platform,
    key_a: &'a [u8; 32],
    threshold: &'a [u8; 32],
    waiting: usize,
    tiles: [(u32, u32); LANES],
    states: [[u8; 64]; LANES],
    found: Vec<Candidate>,
}

impl<'a> Tickets<'a> {
    pub(super) fn new(platform: Platform, key_a: &'a [u8; 32], threshold: &'a [u8; 32]) -> Self {
        let (tiles, states) = ([(0, 0); LANES], [[0; 64]; LANES]);
        Self { platform, key_a, threshold, waiting: 0, tiles, states, found: Vec::new() }
    }

    pub(super) fn key_a(&self) -> &'a [u8; 32] {
        self.key_a
    }

    pub(super) fn push(&mut self, row: u32, col: u32, state: &[u8; 64]) {
        self.tiles[self.waiting] = (row, col);
        self.states[self.waiting] = *state;
        self.waiting += 1;
        if self.waiting == LANES {
            self.draw();
        }
    }

    /// What was found since the last call, in the order of the pushes.
    pub(super) fn finish(&mut self) -> Vec<Candidate> {
        self.draw();
        std::mem::take(&mut self.found)
    }

    fn draw(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let tickets = hash(self.platform, self.key_a, &self.states);
        for ((row, col), t0) in self.tiles.iter().zip(tickets).take(self.waiting) {
            if below(&t0, self.threshold) {
                self.found.push(Candidate { row: *row, col: *col, t0 });
            }
        }
        self.waiting = 0;
    }
}

/// `BLAKE3_keyed(key, block)` of each block.
///
/// The crate hashes one message at a time, which leaves seven eighths of the vector units idle: 85 against 20 ns.
fn hash(platform: Platform, key: &[u8; 32], blocks: &[[u8; 64]; LANES]) -> [[u8; 32]; LANES] {
    dispatch!(platform, hash_lanes(key: &[u8; 32], blocks: &[[u8; 64]; LANES]) -> [[u8; 32]; LANES] {
        let mut m = [[0; LANES]; 16];
        for (lane, block) in blocks.iter().enumerate() {
            for (word, bytes) in m.iter_mut().zip(block.as_chunks::<4>().0) {
                word[lane] = u32::from_le_bytes(*bytes);
            }
        }
        let mut v = [[0; LANES]; 16];
        for (word, bytes) in v.iter_mut().zip(key.as_chunks::<4>().0) {
            *word = [u32::from_le_bytes(*bytes); LANES];
        }
        // The counter is 0, the block 64 bytes long.
        let fixed = [IV[0], IV[1], IV[2], IV[3], 0, 0, 64, FLAGS];
        for (word, value) in v[8..].iter_mut().zip(fixed) {
            *word = [value; LANES];
        }
        for _ in 0..ROUNDS {
            mix(&mut v, [0, 4, 8, 12], &m[0], &m[1]);
            mix(&mut v, [1, 5, 9, 13], &m[2], &m[3]);
            mix(&mut v, [2, 6, 10, 14], &m[4], &m[5]);
            mix(&mut v, [3, 7, 11, 15], &m[6], &m[7]);
            mix(&mut v, [0, 5, 10, 15], &m[8], &m[9]);
            mix(&mut v, [1, 6, 11, 12], &m[10], &m[11]);
            mix(&mut v, [2, 7, 8, 13], &m[12], &m[13]);
            mix(&mut v, [3, 4, 9, 14], &m[14], &m[15]);
            m = PERMUTATION.map(|from| m[from]);
        }
        let mut out = [[0; 32]; LANES];
        for word in 0..8 {
            for (lane, out) in out.iter_mut().enumerate() {
                let bytes = (v[word][lane] ^ v[word + 8][lane]).to_le_bytes();
                out[4 * word..4 * word + 4].copy_from_slice(&bytes);
            }
        }
        out
    })
}

/// The quarter round G (BLAKE3 paper, section 2.2), all lanes at once.
#[inline(always)]
fn mix(v: &mut [Word; 16], [a, b, c, d]: [usize; 4], x: &Word, y: &Word) {
    let (mut va, mut vb, mut vc, mut vd) = (v[a], v[b], v[c], v[d]);
    for i in 0..LANES {
        va[i] = va[i].wrapping_add(vb[i]).wrapping_add(x[i]);
        vd[i] = (vd[i] ^ va[i]).rotate_right(16);
        vc[i] = vc[i].wrapping_add(vd[i]);
        vb[i] = (vb[i] ^ vc[i]).rotate_right(12);
        va[i] = va[i].wrapping_add(vb[i]).wrapping_add(y[i]);
        vd[i] = (vd[i] ^ va[i]).rotate_right(8);
        vc[i] = vc[i].wrapping_add(vd[i]);
        vb[i] = (vb[i] ^ vc[i]).rotate_right(7);
    }
    (v[a], v[b], v[c], v[d]) = (va, vb, vc, vd);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::ticket;

    #[test]
    fn lanes_are_keyed_blake3() {
        for platform in Platform::available() {
            for seed in 0..20_u8 {
                let key = *blake3::hash(&[seed]).as_bytes();
                let mut states = [[0; 64]; LANES];
                for (lane, state) in states.iter_mut().enumerate() {
                    blake3::Hasher::new_keyed(&key).update(&[lane as u8]).finalize_xof().fill(state);
                }
                let expected = states.map(|state| ticket(&key, &state));
                assert_eq!(hash(platform, &key, &states), expected, "{}", platform.name());
            }
        }
    }

    #[test]
    fn every_push_draws_once_and_in_order() {
        let (key, all) = ([3; 32], [0xFF; 32]);
        for count in [0, 1, 7, 8, 9, 17] {
            let mut tickets = Tickets::new(Platform::detect(), &key, &all);
            for _ in 0..2 {
                for i in 0..count {
                    tickets.push(i, 2 * i, &[i as u8; 64]);
                }
                let expected: Vec<_> =
                    (0..count).map(|i| Candidate { row: i, col: 2 * i, t0: ticket(&key, &[i as u8; 64]) }).collect();
                assert_eq!(tickets.finish(), expected);
            }
            let mut none = Tickets::new(Platform::detect(), &key, &[0; 32]);
            none.push(0, 0, &[0; 64]);
            assert_eq!(none.finish(), []);
        }
    }
}
