use proptest::prelude::*;

use super::*;
use crate::memory::MemoryState;
use crate::state::StateRead;

fn changes(pairs: &[(&str, &str)]) -> Changes {
    let pair = |(key, value): &(&str, &str)| (key.as_bytes().to_vec(), Some((*value).into()));
    pairs.iter().map(pair).collect()
}

#[test]
fn empty_state_has_the_empty_root() {
    assert_eq!(MemoryState::default().root(), empty_root());
    let mut state = MemoryState::new(&changes(&[("a", "1")])).expect("memory");
    let removal = Changes::from([(b"a".to_vec(), None)]);
    assert_eq!(state.apply(&removal), Ok(empty_root()));
    assert_eq!(state.get(b"a"), Ok(None));
}

/// The case that `apply_changes` asks first for.
#[test]
fn removing_a_missing_prefix_changes_nothing() {
    let content = changes(&[("30", "a"), ("302", "b"), ("3020", "c"), ("31", "d")]);
    let mut state = MemoryState::new(&content).expect("memory");
    let without = Changes::from([(b"30".to_vec(), None)]);
    let root = state.apply(&without).expect("memory");
    assert_eq!(state.apply(&without), Ok(root));
    assert_eq!(state.get(b"302"), Ok(Some(b"b".to_vec())));
}

#[test]
fn pairs_are_paged_under_a_prefix() {
    let state =
        MemoryState::new(&changes(&[("a", "0"), ("b1", "1"), ("b2", "2"), ("b3", "3"), ("c", "4")])).expect("memory");
    let keys = |prefix: &[u8], after: Option<&[u8]>, limit| -> Vec<String> {
        pairs(state.nodes(), state.root(), prefix, after, limit)
            .expect("memory")
            .into_iter()
            .map(|(key, _)| String::from_utf8(key).expect("ascii"))
            .collect()
    };
    assert_eq!(keys(b"", None, 9), ["a", "b1", "b2", "b3", "c"]);
    assert_eq!(keys(b"b", None, 2), ["b1", "b2"]);
    assert_eq!(keys(b"b", Some(b"b1"), 9), ["b2", "b3"]);
    assert_eq!(keys(b"b", Some(b"b3"), 9), [""; 0]);
    assert_eq!(keys(b"b", Some(b"b25"), 9), ["b3"]);
    assert_eq!(keys(b"", Some(b"b3"), 9), ["c"]);
    assert_eq!(keys(b"x", None, 9), [""; 0]);
}

#[test]
fn proofs_hold_for_what_is_and_what_is_not() {
    let long = "a value that is too long to stand inside its node";
    let state = MemoryState::new(&changes(&[("abc", "0"), ("abd", long), ("x", "2")])).expect("memory");
    let keys = [b"abd".to_vec(), b"abe".to_vec()];
    let proof = read_proof(state.nodes(), state.root(), &keys).expect("memory");
    let mut db = sp_trie::MemoryDB::<BlakeTwo256>::default();
    for node in &proof {
        db.insert(hash_db::EMPTY_PREFIX, node);
    }
    let trie = TrieDBBuilder::<Layout>::new(&db, &state.root()).build().get(b"abd");
    assert_eq!(trie.expect("proven"), Some(long.into()));
    let trie = TrieDBBuilder::<Layout>::new(&db, &state.root()).build().get(b"abe");
    assert_eq!(trie.expect("proven"), None);
}

struct Failing;

impl NodeStore for Failing {
    fn node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Err(StateError::Backend("disk".to_owned()))
    }
}

#[test]
fn a_failing_store_is_named() {
    let root = H256::repeat_byte(1);
    let failure = TrieError::Store(StateError::Backend("disk".to_owned()));
    assert_eq!(read(&Failing, root, b"a"), Err(failure.clone()));
    assert_eq!(apply_changes(&Failing, root, &changes(&[("a", "1")])), Err(failure));
}

#[test]
fn a_missing_root_is_named() {
    let root = H256::repeat_byte(1);
    let state = MemoryState::default();
    let missing = Err(TrieError::Missing { hash: root });
    assert_eq!(read(state.nodes(), root, b"a"), missing);
    assert_eq!(state_root_after(state.nodes(), root, &changes(&[("a", "1")])), Err(TrieError::Missing { hash: root }));
}

#[test]
fn a_corrupt_node_is_named() {
    struct Garbage;
    impl NodeStore for Garbage {
        fn node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            Ok(Some(vec![0xff; 3]))
        }
    }
    let error = read(&Garbage, H256::repeat_byte(1), b"a");
    assert!(matches!(error, Err(TrieError::Corrupt { .. })), "{error:?}");
}

fn arbitrary_changes() -> impl Strategy<Value = Changes> {
    let key = proptest::collection::vec(0u8..4, 0..5);
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50));
    proptest::collection::btree_map(key, value, 0..20)
}

proptest! {
    /// However the changes are split and ordered, the root is that of what is left, and the store
    /// holds exactly its nodes.
    #[test]
    fn root_depends_only_on_content(parts in proptest::collection::vec(arbitrary_changes(), 1..6)) {
        let mut state = MemoryState::default();
        let mut merged = Changes::new();
        for part in &parts {
            state.apply(part).expect("memory");
            merged.extend(part.clone());
        }
        prop_assert_eq!(state.root(), MemoryState::new(&merged).expect("memory").root());

        let pairs: Pairs =
            merged.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        prop_assert_eq!(state.root(), root_of(pairs.iter().rev().cloned()));
        prop_assert_eq!(state.pairs(b"").expect("memory"), pairs);

        let removal = merged.into_keys().map(|key| (key, None)).collect();
        let (_, delta) = apply_changes(state.nodes(), state.root(), &removal).expect("memory");
        prop_assert_eq!(delta.removed.len(), state.nodes().len());
    }
}
