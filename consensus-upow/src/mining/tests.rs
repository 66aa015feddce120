//! The lottery's rate, and that mining computes what verifying computes.

use std::cell::RefCell;

use super::*;
use crate::difficulty::Difficulty;
use crate::testing::{Miner, TestChain, quick};
use crate::ticket::first_half;
use ml_kernels::product::product;

/// Microbatches mined: deviations below are of this many.
const COUNT: usize = 60;

#[test]
fn microbatch_yields_eight_shares_and_seals_at_its_difficulty() {
    let chain = TestChain::new(quick);
    let mut miner = Miner::new("Alice", 0);
    let mined = miner.compute_empty(&chain, chain.genesis, COUNT);
    // Poisson: mean 8, so the mean of 60 deviates by 0.37.
    let shares = mined.iter().map(|m| m.shares.len()).sum::<usize>() as f64 / COUNT as f64;
    assert!((shares - 8.0).abs() < 4.5 * 0.37, "{shares}");
    // One expected seal a microbatch: 1 - 1/e have one, with a deviation of 0.062.
    let sealed = mined.iter().filter(|m| m.seal.is_some()).count() as f64 / COUNT as f64;
    assert!((sealed - 0.632).abs() < 4.5 * 0.062, "{sealed}");
    for m in &mined {
        assert!(m.shares.is_sorted_by(|a, b| a < b) && m.shares.len() <= MAX_CLAIMS_PER_INDEX);
    }
}

#[test]
fn recomputing_gives_what_mining_gave() {
    let chain = TestChain::new(quick);
    let mut miner = Miner::new("Alice", 0);
    let context = chain.context(chain.genesis);
    let (account, task) = (miner.account(), chain.engine.task());
    let sigma = |m: &mut Miner| {
        let pre = m.pre(chain.time_after(chain.genesis));
        let view = chain.view(chain.genesis);
        crate::verify::author_block(&chain.engine, &view, &pre, Vec::new()).expect("valid").header.hash()
    };
    let sigma = sigma(&mut miner);
    let all: Vec<TileId> = task
        .model()
        .products()
        .flat_map(|id| {
            let dims = task.model().dims(id).expect("own product");
            let cols = (dims.n / 32) as u32;
            (0..(dims.m / 32) as u32).flat_map(move |row| (0..cols).map(move |col| TileId::new(id, row, col)))
        })
        .collect();
    for mined in miner.compute_empty(&chain, chain.genesis, 3) {
        let attempt = context.attempt(&account, 0, mined.index, sigma);
        let again = chain.engine.recompute(&context, &attempt, &all).expect("own model");
        assert_eq!(again.output, mined.output);
        assert_eq!(again.leaf, mined.leaf);
        let leaf = H256(again.leaf.digest());
        let wins = |tile: &TileId, t0: &H256| {
            let (_, dims) = tile.product(task.model()).expect("own tile");
            first_half(t0, task.share_target(), dims) && second_half(&second_hash(t0, &leaf))
        };
        let shares: Vec<TileId> =
            all.iter().zip(&again.tiles).filter(|(tile, drawn)| wins(tile, &drawn.t0)).map(|(t, _)| *t).collect();
        assert_eq!(shares, mined.shares);
        if let Some((seal, _)) = mined.seal {
            let at = all.iter().position(|t| *t == seal.tile).expect("own tile");
            assert_eq!(
                (again.tiles[at].com_a, again.tiles[at].com_b, again.tiles[at].t0),
                (seal.com_a, seal.com_b, seal.t0)
            );
        }
    }
}

#[test]
fn harder_template_seals_less_and_shares_as_much() {
    let chain = TestChain::new(quick);
    let context = chain.context(chain.genesis);
    let miner = Miner::new("Alice", 0);
    let view = chain.view(chain.genesis);
    let pre = miner.pre(chain.time_after(chain.genesis));
    let header = crate::verify::author_block(&chain.engine, &view, &pre, Vec::new()).expect("valid").header;
    let mined = |difficulty| {
        let target = Difficulty(difficulty).target();
        let template = MiningTemplate::new(&chain.engine, &context, header.clone(), target).expect("own header");
        (0..4).map(|index| mine(&chain.engine, &context, &template, index).expect("own model")).collect::<Vec<_>>()
    };
    let (easy, hard) = (mined(1), mined(u128::MAX));
    assert!(easy.iter().all(|m| m.seal.is_some()) && hard.iter().all(|m| m.seal.is_none()));
    for (easy, hard) in easy.into_iter().zip(hard) {
        assert_eq!((easy.output, easy.leaf, easy.shares), (hard.output, hard.leaf, hard.shares));
    }
}

/// Keeps the A operand of every product.
struct Recorder<'a>(&'a Engine, RefCell<Vec<(ProductId, Vec<i8>)>>);

impl Products for Recorder<'_> {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        self.1.borrow_mut().push((id, a.data().to_vec()));
        Ok(product(self.0.platform(), a, b.operand(), out)?)
    }
}

#[test]
fn new_sigma_changes_a_tenth_of_every_operand() {
    let chain = TestChain::new(quick);
    let context = chain.context(chain.genesis);
    let operands = [1, 2].map(|s| {
        let attempt = context.attempt(&AccountId::new([1; 32]), 0, 0, H256::repeat_byte(s));
        let mut recorder = Recorder(&chain.engine, RefCell::default());
        chain.engine.run(&context, &attempt, &mut recorder).expect("own model");
        recorder.1.into_inner()
    });
    assert_eq!(operands[0].len(), chain.engine.task().model().products().count());
    for ((id, one), (_, two)) in operands[0].iter().zip(&operands[1]) {
        let differ = one.iter().zip(two).filter(|(a, b)| a != b).count() as f64 / one.len() as f64;
        assert!(differ > 0.1, "{id:?}: {differ}");
    }
}
