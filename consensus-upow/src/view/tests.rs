//! Target and median time as the chain's headers make them.

use descent_runtime::{PreDigest, unsealed_header};

use super::*;
use crate::difficulty::Difficulty;
use crate::testing::{START_MS, TestChain, account};

/// A chain of headers with these times; only what reads headers may look at it.
fn chain(times: &[u64]) -> (TestChain, H256) {
    // Four times the minimum, so that both directions show.
    let mut chain = TestChain::new(|p| p.initial_difficulty *= 4);
    let mut tip = chain.genesis;
    for timestamp_ms in times {
        let pre = PreDigest { sealer: account("Alice"), lane: 0, timestamp_ms: *timestamp_ms };
        let root = chain.header(tip).state_root;
        let header = unsealed_header(tip, chain.number(tip) + 1, root, H256::zero(), &pre);
        tip = chain.append_header(header);
    }
    (chain, tip)
}

fn difficulty(times: &[u64]) -> u128 {
    let (chain, tip) = chain(times);
    target_of_next(&chain.view(tip)).expect("headers are there").difficulty().0
}

fn every(ms: u64, blocks: u64) -> Vec<u64> {
    (0..blocks).map(|i| START_MS + i * ms).collect()
}

#[test]
fn target_follows_schedule() {
    let params = chain(&[]).0.params;
    let (initial, minimum) = (params.initial_difficulty, params.minimum_difficulty);
    // Block 1 and, whenever it came, block 2.
    assert_eq!(difficulty(&[]), initial);
    for first in [1_000, START_MS, u64::MAX] {
        assert_eq!(difficulty(&[first]), initial, "{first}");
    }
    // Less than a block time after 1970 the schedule starts a little late.
    assert!(difficulty(&[1]).abs_diff(initial) <= initial / 100);
    assert_eq!(difficulty(&every(1_000, 40)), initial);
    // Twenty seconds too slow and too fast over forty blocks: a fifth of a half-life.
    let [slow, fast] = [1_500, 500].map(|ms| difficulty(&every(ms, 41)) as f64 / initial as f64);
    assert!((slow - 0.8706).abs() < 0.001 && (fast - 1.1487).abs() < 0.001, "{slow} {fast}");
    // Far behind the schedule it ends at the minimum, far ahead it keeps rising.
    assert_eq!(difficulty(&[START_MS, START_MS + 10_000_000]), minimum);
    assert_eq!(difficulty(&[START_MS, u64::MAX]), minimum);
    assert!(difficulty(&every(1, 300)) > 7 * initial);
}

#[test]
fn target_is_anchored_at_block_one_and_remembers_no_path() {
    let smooth = every(1_000, 30);
    let mut wild = smooth.clone();
    wild[7] += 20_000;
    wild[20] -= 15_000;
    assert_eq!(difficulty(&wild), difficulty(&smooth));
    // A half-life late: half the difficulty, whatever came between.
    wild[29] += 100_000;
    assert_eq!(difficulty(&wild), Difficulty(difficulty(&smooth) / 2).0);
}

#[test]
fn median_is_of_eleven_ancestors_and_without_the_genesis() {
    let median = |times: &[u64]| {
        let (chain, tip) = chain(times);
        median_time(&chain.view(tip)).expect("headers are there")
    };
    assert_eq!(median(&[]), 0);
    assert_eq!(median(&[5]), 5);
    assert_eq!(median(&[5, 9]), 9);
    assert_eq!(median(&(1..=11).collect::<Vec<_>>()), 6);
    assert_eq!(median(&(1..=30).collect::<Vec<_>>()), 25);
}

#[test]
fn headers_that_are_not_there_are_named() {
    let (mut chain, tip) = chain(&every(1_000, 3));
    let hash = chain.view(tip).ancestor(2).expect("there").0;
    chain.forget_header(hash);
    let missing = ViewError::Missing { what: "header", hash };
    assert_eq!(target_of_next(&chain.view(tip)), Err(missing.clone()));
    assert_eq!(median_time(&chain.view(tip)), Err(missing));
}
