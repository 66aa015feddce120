//! Every variant of [`WitnessError`]: what strangers can send with a header.

use descent_runtime::H256;
use ml_kernels::config::Dims;
use ml_kernels::product::{Operand, ProductError, TILE};

use super::{Fixture, seal_error};
use crate::engine::RoundContext;
use crate::seal::{Seal, SealError};
use crate::ticket::{TileError, TileId};
use crate::witness::{Witness, WitnessClaim, WitnessError, witness_is_valid};

fn witness_error(error: SealError) -> WitnessError {
    match error {
        SealError::Witness(error) => error,
        other => panic!("{other}"),
    }
}

fn dims(f: &Fixture) -> Dims {
    f.seal().tile.product(f.chain.engine.task().model()).expect("valid tile").1
}

#[test]
fn witness_has_one_length() {
    let f = Fixture::new();
    let expected = Witness::encoded_len(dims(&f));
    assert_eq!(f.block.witness.len(), expected);
    let error = |edit: &dyn Fn(&mut Vec<u8>)| witness_error(f.resealed(|_, witness| edit(witness)));
    assert_eq!(error(&|w| w.clear()), WitnessError::Length { got: 0, expected });
    assert_eq!(error(&|w| w.truncate(expected - 1)), WitnessError::Length { got: expected - 1, expected });
    assert_eq!(error(&|w| w.push(0)), WitnessError::Length { got: expected + 1, expected });
}

#[test]
fn every_byte_of_the_witness_is_bound() {
    let f = Fixture::new();
    let (dims, seal) = (dims(&f), f.seal());
    let strip = TILE * dims.k;
    let lists = 2 * strip;
    let error = |at: usize| witness_error(f.resealed(|_, witness| witness[at] ^= 1));
    for at in [0, strip - 1] {
        assert!(matches!(error(at), WitnessError::Strip { side: 'A', .. }));
        assert!(matches!(error(strip + at), WitnessError::Strip { side: 'B', .. }));
    }
    for entry in 0..dims.m / TILE {
        let expected = if entry == usize::from(seal.tile.row) { 'S' } else { 'C' };
        let got = match error(lists + 32 * entry) {
            WitnessError::Strip { side: 'A', .. } => 'S',
            WitnessError::Commitment { side: 'A', .. } => 'C',
            other => panic!("{other}"),
        };
        assert_eq!(got, expected);
    }
    for entry in 0..dims.n / TILE {
        let side_b = error(lists + dims.m + 32 * entry);
        let own = entry == usize::from(seal.tile.col);
        assert!(matches!(
            (own, side_b),
            (true, WitnessError::Strip { side: 'B', .. }) | (false, WitnessError::Commitment { side: 'B', .. })
        ));
    }
}

/// Replaces the strip of A by another and commits to it consistently: a whole witness of a false operand.
fn with_strip(seal: &mut Seal, bytes: &mut Vec<u8>, dims: Dims, edit: impl FnOnce(&mut [i8])) {
    let mut witness = Witness::from_bytes(dims, bytes).expect("valid length");
    edit(&mut witness.a_strip);
    let strip: Vec<u8> = witness.a_strip.iter().map(|v| v.cast_unsigned()).collect();
    witness.a_hashes[usize::from(seal.tile.row)] = *blake3::hash(&strip).as_bytes();
    seal.com_a = H256(Operand::commitment(&witness.a_hashes));
    *bytes = witness.to_bytes();
}

#[test]
fn operands_are_int7() {
    let f = Fixture::new();
    let dims = dims(&f);
    for got in [64, -64, i8::MIN, i8::MAX] {
        let error = f.resealed(|seal, witness| with_strip(seal, witness, dims, |strip| strip[5] = got));
        assert_eq!(witness_error(error), WitnessError::Product(ProductError::Range { index: 5, got }));
    }
}

#[test]
fn another_operand_draws_another_ticket() {
    let f = Fixture::new();
    let dims = dims(&f);
    let error = f.resealed(|seal, witness| {
        with_strip(seal, witness, dims, |strip| strip[5] = if strip[5] == 0 { 1 } else { 0 })
    });
    assert!(matches!(witness_error(error), WitnessError::Ticket { expected, .. } if expected == f.seal().t0));
}

#[test]
fn another_tile_needs_another_witness() {
    let f = Fixture::new();
    let (dims, tile) = (dims(&f), f.seal().tile);
    let error = f.resealed(|seal, _| seal.tile.row = (tile.row + 1) % (dims.m / TILE) as u16);
    assert!(matches!(witness_error(error), WitnessError::Strip { side: 'A', .. }));
    let error = f.resealed(|seal, _| seal.tile.col = (tile.col + 1) % (dims.n / TILE) as u16);
    assert!(matches!(witness_error(error), WitnessError::Strip { side: 'B', .. }));
    // Layers 0 and 4 have the same shape: the role is in the keys, not only in the dimensions.
    let twin = |layer: u16| if layer >= 8 { None } else { Some((layer + 4) % 8) };
    if let Some(layer) = twin(tile.layer) {
        let error = f.resealed(|seal, _| seal.tile.layer = layer);
        assert!(matches!(witness_error(error), WitnessError::Ticket { .. }));
    }
}

#[test]
fn witness_names_an_existing_tile() {
    let f = Fixture::new();
    let seal = f.seal();
    let context: RoundContext = f.chain.context(f.block.header.parent_hash);
    let attempt = context.attempt(&f.miner.account(), 7, seal.index, H256::zero());
    let tile = TileId { layer: 999, ..seal.tile };
    let claim = WitnessClaim { tile, com_a: seal.com_a, com_b: seal.com_b, t0: seal.t0, attempt: &attempt };
    let error = witness_is_valid(f.chain.engine.task(), &claim, &f.block.witness).expect_err("no such tile");
    assert_eq!(error, WitnessError::Tile(TileError::NoSuchProduct { layer: 999, op: seal.tile.op }));
}

#[test]
fn missing_or_foreign_witness_says_nothing_about_the_header() {
    let f = Fixture::new();
    let error = f.edited(|block| block.witness = b"from a liar".to_vec());
    assert!(error.is_transient(), "{error}");
    assert!(matches!(seal_error(error), SealError::WitnessDigest { expected, .. } if expected == f.seal().witness));
    // The header itself stays acceptable.
    f.chain.check(&f.block).expect("valid");
}
