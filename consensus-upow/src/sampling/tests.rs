//! What a cheat gets away with, and how often.

use std::collections::BTreeSet;

use codec::Encode;
use descent_runtime::Header;

use super::*;
use crate::receipt::{IndexRecord, ShareClaim, part_digest, receipt_parts_are_valid};
use crate::testing::{Miner, TestChain, quick};

fn nth_coin(i: u64) -> H256 {
    coin(&H256::from_low_u64_be(i), &H256::repeat_byte(1))
}

/// Details of a receipt as the draw sees them: `claims[i]` claims of index `i`.
fn synthetic(claims: &[u16]) -> (ReceiptSummary, ReceiptDetails) {
    let tile = |row| TileId { layer: 0, op: 0, row, col: 0 };
    let claims: Vec<ShareClaim> = (0..)
        .zip(claims)
        .flat_map(|(offset, n)| (0..*n).map(move |row| ShareClaim { offset, tile: tile(row) }))
        .collect();
    let count = claims.last().map_or(1, |c| u32::from(c.offset) + 1);
    let indices = vec![IndexRecord { template: 0, loss: 0, leaf: [0; LeafHash::BYTES] }; count as usize];
    let zero = H256::zero();
    let summary = ReceiptSummary {
        round: 0,
        lane: 0,
        start: 0,
        count,
        shares: claims.len() as u32,
        tokens: 1,
        details_hash: zero,
        details_len: 0,
        blob_hash: zero,
        blob_len: 0,
    };
    (summary, ReceiptDetails { templates: Vec::<Header>::new(), indices, claims })
}

/// Part of many coins that draw one of these indices.
fn caught(summary: &ReceiptSummary, details: &ReceiptDetails, false_indices: &BTreeSet<u16>, coins: u64) -> f64 {
    let hits =
        (0..coins).filter(|i| !sampled_offsets(&nth_coin(*i), summary, details).is_disjoint(false_indices)).count();
    hits as f64 / coins as f64
}

#[test]
fn false_part_is_caught_as_often_as_predicted() {
    const COINS: u64 = 4_000;
    // Indices with 8 claims each but for one with 32 and one with none: claims and indices are drawn separately.
    let mut claims = vec![8; 64];
    (claims[0], claims[1]) = (32, 0);
    let (summary, details) = synthetic(&claims);
    for false_indices in
        [vec![0], vec![1], vec![5], (10..20).collect(), (2..34).collect(), (0..64).collect::<Vec<u16>>()]
    {
        let false_indices: BTreeSet<u16> = false_indices.into_iter().collect();
        let of_claims = details.claims.iter().filter(|c| false_indices.contains(&c.offset)).count() as f64
            / details.claims.len() as f64;
        let of_indices = false_indices.len() as f64 / f64::from(summary.count);
        let predicted = 1.0 - (1.0 - of_claims).powi(SAMPLED_CLAIMS as i32) * (1.0 - of_indices);
        let deviation = (predicted * (1.0 - predicted) / COINS as f64).sqrt();
        let got = caught(&summary, &details, &false_indices, COINS);
        assert!((got - predicted).abs() <= 4.5 * deviation, "{false_indices:?}: {got}, expected {predicted}");
    }
}

#[test]
fn draws_are_uniform() {
    // 250 does not divide 2^64, and 1 claim each makes claims and indices alike.
    let (summary, details) = synthetic(&[1; 250]);
    let mut seen = [0_u32; 250];
    for i in 0..10_000 {
        let offsets = sampled_offsets(&nth_coin(i), &summary, &details);
        assert!((1..=3).contains(&offsets.len()));
        offsets.into_iter().for_each(|o| seen[usize::from(o)] += 1);
    }
    let mean = f64::from(seen.iter().sum::<u32>()) / 250.0;
    let chi: f64 = seen.iter().map(|n| (f64::from(*n) - mean).powi(2) / mean).sum();
    // Mean 249, deviation 22.
    assert!((140.0..360.0).contains(&chi), "{chi}");
}

#[test]
fn receipt_without_claims_is_sampled_all_the_same() {
    let (mut summary, mut details) = synthetic(&[1; 9]);
    details.claims.clear();
    summary.shares = 0;
    let seen: BTreeSet<u16> = (0..200).flat_map(|i| sampled_offsets(&nth_coin(i), &summary, &details)).collect();
    assert_eq!(seen.len(), 9);
}

#[test]
fn coin_binds_receipt_and_ticket() {
    let [a, b] = [1, 2].map(H256::repeat_byte);
    let coins: BTreeSet<H256> = [coin(&a, &b), coin(&b, &a), coin(&a, &a), coin(&b, &b)].into();
    assert_eq!(coins.len(), 4);
}

/// A receipt of six really mined microbatches, its details and its round.
fn mined() -> (TestChain, Miner, ReceiptSummary, ReceiptDetails, Vec<u8>) {
    let chain = TestChain::new(quick);
    let mut miner = Miner::new("Alice", 0);
    let genesis = chain.genesis;
    miner.compute_empty(&chain, genesis, 6);
    let built = miner.take_receipt(&chain).expect("six");
    let details =
        ReceiptDetails::decode_checked(&built.details, built.summary.count, built.summary.shares).expect("own");
    (chain, miner, built.summary, details, built.blob)
}

fn leaf(details: &ReceiptDetails, offset: usize) -> LeafHash {
    LeafHash::from_bytes(&details.indices[offset].leaf).expect("own")
}

#[test]
fn verdict_is_false_exactly_when_a_false_index_is_drawn() {
    let (chain, miner, mut summary, mut details, blob) = mined();
    let context = chain.context(chain.genesis);
    let account = miner.account();
    let finding = |details: &ReceiptDetails, offset| {
        index_is_honest(&chain.engine, &context, &account, &summary, details, offset).expect("own model")
    };
    for offset in 0..6 {
        assert_eq!(finding(&details, offset), Ok(()));
    }
    let mut edited = details.clone();
    edited.indices[3].loss += 1;
    assert!(matches!(finding(&edited, 3), Err(SampleMismatch::Loss { index: 3, .. })));
    // A tile that draws no share, claimed beside the true ones.
    let all = chain.engine.task().model().products().map(|id| TileId::new(id, 0, 0));
    let truth: BTreeSet<TileId> = details.claims.iter().filter(|c| c.offset == 3).map(|c| c.tile).collect();
    let tile = all.into_iter().find(|tile| !truth.contains(tile)).expect("few tiles draw one");
    let mut edited = details.clone();
    edited.claims.push(ShareClaim { offset: 3, tile });
    edited.claims.sort_unstable();
    assert_eq!(finding(&edited, 3), Err(SampleMismatch::Claim { index: 3, tile }));

    // +x moved from one leaf to another: the sum is the gradient's still, and inclusion can't tell.
    let moved = {
        let mut first = leaf(&details, 1);
        first.add_assign(&leaf(&details, 5));
        first
    };
    details.indices[1].leaf.copy_from_slice(&moved.to_bytes());
    details.indices[5].leaf.copy_from_slice(&LeafHash::zero().to_bytes());
    let bytes = details.encode();
    (summary.details_hash, summary.details_len) = (part_digest(&bytes), bytes.len() as u32);
    let genesis = chain.genesis;
    let ancestor = |hash: &H256| (*hash == genesis).then_some(0);
    receipt_parts_are_valid(&chain.engine, &account, &summary, &bytes, &blob, &ancestor, &|_| 0).expect("sum matches");
    let mut outcomes = [0; 2];
    for i in 0..24 {
        let coin = nth_coin(i);
        let verdict = receipt_verdict(&chain.engine, &context, &account, &summary, &details, &coin).expect("own model");
        let drawn = sampled_offsets(&coin, &summary, &details);
        let expected =
            drawn.iter().find(|o| [1, 5].contains(*o)).map(|o| SampleMismatch::Leaf { index: u32::from(*o) });
        outcomes[usize::from(expected.is_some())] += 1;
        assert_eq!(verdict.err(), expected, "{drawn:?}");
    }
    assert!(outcomes.iter().all(|n| *n > 0), "{outcomes:?}");
}
