//! Random trees of blocks against a model that keeps every state as a map.

use std::collections::BTreeSet;

use descent_runtime::StateError;
use descent_runtime::trie::NodeStore;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Parent {
    Best,
    Leaf(usize),
    Any(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Block { parent: Parent, changes: Vec<(usize, Option<u8>)>, best: bool },
    Reopen,
}

/// Few keys and values, so that nodes vanish and come back; prefixes of each other, for all shapes.
const KEYS: [&[u8]; 10] =
    [&[0], &[0, 0], &[0, 1], &[0, 1, 7], &[0, 16], &[1], &[16, 0], &[16, 1], &[16, 1, 0, 0, 0], &[17, 255]];

/// Lengths on both sides of what the trie keeps inline.
fn value(kind: u8) -> Vec<u8> {
    vec![kind; [1, 32, 33, 60][usize::from(kind)]]
}

fn op() -> impl Strategy<Value = Op> {
    let parent = prop_oneof![
        5 => Just(Parent::Best),
        3 => any::<usize>().prop_map(Parent::Leaf),
        2 => any::<usize>().prop_map(Parent::Any),
    ];
    let changes = proptest::collection::vec((0..KEYS.len(), proptest::option::weighted(0.6, 0..4u8)), 0..6);
    prop_oneof![
        12 => (parent, changes, prop::bool::weighted(0.7))
            .prop_map(|(parent, changes, best)| Op::Block { parent, changes, best }),
        1 => Just(Op::Reopen),
    ]
}

fn options() -> impl Strategy<Value = StoreOptions> {
    let pruning = prop_oneof![
        4 => (0..7u32).prop_map(StatePruning::Blocks),
        1 => Just(StatePruning::Archive),
    ];
    (1..5u32, pruning).prop_map(|(finality_depth, state_pruning)| StoreOptions { finality_depth, state_pruning })
}

struct Block {
    at: BlockRef,
    /// Index of the parent; genesis is its own.
    parent: usize,
    state: State,
}

/// All blocks ever made, and what the store should think of them.
struct Model {
    options: StoreOptions,
    blocks: Vec<Block>,
    best: usize,
    finalized: usize,
    pruned: usize,
}

impl Model {
    fn ancestor(&self, mut block: usize, number: u32) -> usize {
        while self.blocks[block].at.number > number {
            block = self.blocks[block].parent;
        }
        block
    }

    fn number(&self, block: usize) -> u32 {
        self.blocks[block].at.number
    }

    fn is_canonical(&self, block: usize) -> bool {
        self.ancestor(self.best, self.number(block)) == block
    }

    fn descends(&self, block: usize, from: usize) -> bool {
        self.ancestor(block, self.number(from)) == from
    }

    /// Blocks that the store still knows.
    fn known(&self) -> Vec<usize> {
        let known = |block: &usize| self.is_canonical(*block) || self.descends(*block, self.pruned);
        (0..self.blocks.len()).filter(known).collect()
    }

    fn has_state(&self, block: usize) -> bool {
        self.options.state_pruning == StatePruning::Archive || self.descends(block, self.pruned)
    }

    fn leaves(&self) -> BTreeSet<H256> {
        let parents: BTreeSet<usize> = self.blocks.iter().skip(1).map(|block| block.parent).collect();
        let is_leaf = |block: &usize| !parents.contains(block) && self.descends(*block, self.finalized);
        (0..self.blocks.len()).filter(is_leaf).map(|block| self.blocks[block].at.hash).collect()
    }

    fn make_best(&mut self, block: usize) {
        self.best = block;
        let best = self.number(block);
        let final_number = best.saturating_sub(self.options.finality_depth).max(self.number(self.finalized));
        self.finalized = self.ancestor(block, final_number);
        let oldest = match self.options.state_pruning {
            StatePruning::Archive => final_number,
            StatePruning::Blocks(window) => final_number.min(best.saturating_sub(window)),
        };
        self.pruned = self.ancestor(block, oldest.max(self.number(self.pruned)));
    }

    fn choose(&self, parent: &Parent) -> usize {
        let known: Vec<usize> = self.known().into_iter().filter(|block| self.has_state(*block)).collect();
        let leaves = self.leaves();
        match parent {
            Parent::Best => self.best,
            Parent::Leaf(pick) => {
                let leaves: Vec<usize> =
                    known.into_iter().filter(|block| leaves.contains(&self.blocks[*block].at.hash)).collect();
                leaves[pick % leaves.len()]
            }
            Parent::Any(pick) => known[pick % known.len()],
        }
    }
}

/// A store of no nodes, to build tries on from nothing.
struct Nothing;

impl NodeStore for Nothing {
    fn node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }
}

fn nodes_of(state: &State) -> BTreeSet<Vec<u8>> {
    let changes: Changes = state.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let (_, nodes) = trie::apply_changes(&Nothing, trie::empty_root(), &changes).expect("no node is read");
    nodes.inserted.into_keys().collect()
}

fn add_block(store: &Store, model: &mut Model, parent: usize, changes: &[(usize, Option<u8>)], new_best: bool) {
    let changes: Changes = changes.iter().map(|(key, kind)| (KEYS[*key].to_vec(), kind.map(value))).collect();
    let index = model.blocks.len();
    let mut state = model.blocks[parent].state.clone();
    for (key, value) in &changes {
        match value {
            Some(value) => drop(state.insert(key.clone(), value.clone())),
            None => drop(state.remove(key)),
        }
    }
    let salt = u64::try_from(index).expect("few blocks");
    let block = ImportCommit { new_best, ..child(store, model.blocks[parent].at.hash, salt, changes) };
    let at = BlockRef { number: block.header.number, hash: descent_runtime::header_hash(&block.header) };
    let result = store.commit(block);
    if !model.descends(parent, model.finalized) {
        assert!(matches!(result, Err(StoreError::BelowFinalized { .. })));
        return;
    }
    let route = result.expect("a valid commit");
    model.blocks.push(Block { at, parent, state });
    if !new_best {
        assert_eq!(route, Route::default());
        return;
    }
    let old = model.best;
    model.make_best(index);
    let meeting =
        (0..=model.number(old)).rev().find(|number| model.ancestor(old, *number) == model.ancestor(index, *number));
    let meeting = meeting.expect("both descend from genesis");
    let between = |tip: usize| ((meeting + 1)..=model.number(tip)).map(move |number| (tip, number));
    let block = |(tip, number)| model.blocks[model.ancestor(tip, number)].at;
    assert_eq!(route.retracted, between(old).rev().map(block).collect::<Vec<_>>());
    assert_eq!(route.enacted, between(index).map(block).collect::<Vec<_>>());
}

fn check(store: &Store, model: &Model) {
    let best = &model.blocks[model.best];
    assert_eq!(store.best().unwrap(), best.at);
    assert_eq!(store.finalized().unwrap(), model.blocks[model.finalized].at);
    assert_eq!(store.oldest_state().unwrap(), model.number(model.pruned));
    assert_eq!(store.leaves().unwrap().into_iter().map(|leaf| leaf.hash).collect::<BTreeSet<_>>(), model.leaves());
    assert_eq!(whole_flat_state(store), best.state);
    for number in 0..=best.at.number {
        let hash = model.blocks[model.ancestor(model.best, number)].at.hash;
        assert_eq!(store.hash_at(number).unwrap(), Some(hash));
    }
    assert_eq!(store.hash_at(best.at.number + 1).unwrap(), None);

    let known: BTreeSet<usize> = model.known().into_iter().collect();
    let mut nodes = BTreeSet::new();
    for (index, block) in model.blocks.iter().enumerate() {
        let header = store.header(&block.at.hash).unwrap();
        assert_eq!(header.is_some(), known.contains(&index));
        let Some(header) = header else { continue };
        let meta = store.meta(&block.at.hash).unwrap().unwrap();
        assert_eq!((meta.number, meta.state_root), (block.at.number, header.state_root));
        if model.has_state(index) {
            assert_eq!(whole_state_at(store, header.state_root), block.state);
            nodes.extend(nodes_of(&block.state));
        }
    }
    // Not one node more than the kept states have.
    let stored = store.database.scan(Column::Nodes, &[]).unwrap();
    assert_eq!(stored.into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>(), nodes);
}

fn run(options: StoreOptions, ops: Vec<Op>) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = genesis(0);
    let reopen = || Store::open(folder.path(), &genesis, options).unwrap();
    let mut store = reopen();
    let state = genesis.state.iter().map(|(key, value)| (key.clone(), value.clone().unwrap())).collect();
    let first = Block { at: BlockRef { number: 0, hash: genesis.hash() }, parent: 0, state };
    let mut model = Model { options, blocks: vec![first], best: 0, finalized: 0, pruned: 0 };
    for op in ops {
        match op {
            Op::Block { parent, changes, best } => {
                let parent = model.choose(&parent);
                add_block(&store, &mut model, parent, &changes, best);
            }
            Op::Reopen => {
                drop(store);
                store = reopen();
            }
        }
        check(&store, &model);
    }
    drop(store);
    check(&reopen(), &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_maps(options in options(), ops in proptest::collection::vec(op(), 1..70)) {
        run(options, ops);
    }
}
