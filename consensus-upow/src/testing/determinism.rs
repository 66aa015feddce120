//! One result: every code path and every number of threads mines and verifies the same bits.

use descent_runtime::{H256, storage};
use ml_kernels::platform::Platform;
use rayon::ThreadPoolBuilder;

use super::{Miner, TestChain};
use crate::mining::{MiningTemplate, mine};
use crate::verify::author_block;

const BLOCKS: usize = 20;

fn roots(chain: &TestChain, tip: H256) -> Vec<H256> {
    (0..).map_while(|round| chain.round(tip, round)).map(|info| info.checkpoint_root).collect()
}

#[test]
fn mined_chain_validates_alike_on_every_platform_and_thread_count() {
    let mut chain = TestChain::new(|_| ());
    let mut miner = Miner::new("Alice", 0);
    let genesis = chain.genesis;
    let blocks = miner.extend(&mut chain, genesis, BLOCKS);
    let tip = blocks.last().expect("mined").hash();
    let expected = roots(&chain, tip);
    // Rounds 0, 1 and 2: two steps were made, and neither was skipped.
    assert_eq!(expected.len(), 3);
    assert!(expected[0] != expected[1] && expected[1] != expected[2]);
    assert!(storage::TOKENS_SEEN.get(&chain.state(tip)).expect("set") > 0);

    for platform in Platform::available() {
        for threads in [1, 2, 4] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let (replayed, again) = pool.install(|| {
                let mut other = TestChain::on(platform, |_| ());
                assert_eq!(other.genesis, chain.genesis, "{platform:?}");
                let replayed = other.replay(&blocks, &chain.sidecars);
                (replayed, roots(&other, replayed))
            });
            assert_eq!(replayed, tip, "{platform:?}, {threads} threads");
            assert_eq!(again, expected, "{platform:?}, {threads} threads");
        }
    }
}

#[test]
fn mined_microbatch_is_the_same_on_every_platform_and_thread_count() {
    let mut seen = None;
    for platform in Platform::available() {
        let chain = TestChain::on(platform, |_| ());
        let (miner, view) = (Miner::new("Alice", 0), chain.view(chain.genesis));
        let pre = miner.pre(chain.time_after(chain.genesis));
        let block = author_block(&chain.engine, &view, &pre, Vec::new()).expect("empty block");
        let context = chain.context(chain.genesis);
        for threads in [1, 2, 4] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mined = pool.install(|| {
                let header = block.header.clone();
                let template = MiningTemplate::new(&chain.engine, &context, header, block.target).expect("own header");
                let mined = mine(&chain.engine, &context, &template, 0).expect("own model");
                (template.sigma(), mined.output, mined.leaf.to_bytes(), mined.shares, mined.seal)
            });
            assert!(!mined.3.is_empty());
            assert_eq!(*seen.get_or_insert(mined.clone()), mined, "{platform:?}, {threads} threads");
        }
    }
}
