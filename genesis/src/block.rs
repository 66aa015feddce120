//! The genesis block of a specification.

use descent_runtime::genesis::GenesisError;
use descent_runtime::{Changes, GenesisTraining, H256, Header, genesis_header, genesis_state, header_hash, trie};

use crate::spec::{ChainSpec, SpecError};

/// A chain's first block and the state behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Header of block 0.
    pub header: Header,
    /// Its hash, which names the chain.
    pub hash: H256,
    /// The state, as changes of the empty one.
    pub state: Changes,
}

/// A specification and a checkpoint from which no genesis block can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The specification breaks a rule.
    #[error("specification: {0}")]
    Spec(#[from] SpecError),
    /// The checkpoint is one of another task.
    #[error("checkpoint belongs to task {got:?}, expected {expected:?}")]
    Task {
        /// The checkpoint's task.
        got: H256,
        /// The specification's.
        expected: H256,
    },
    /// The checkpoint is one of another model.
    #[error("checkpoint has exponents of {got} tensors, expected {expected}")]
    Tensors {
        /// Tensors of the checkpoint.
        got: usize,
        /// Tensors of the model.
        expected: usize,
    },
    /// The runtime refuses the state.
    #[error("genesis state: {0}")]
    State(#[from] GenesisError),
}

/// Makes the genesis block. `training` is what consensus computed from the specification's task and dataset.
///
/// # Errors
///
/// When the specification is invalid or the checkpoint is not one of its task.
pub fn build_genesis(spec: &ChainSpec, training: GenesisTraining) -> Result<Genesis, BuildError> {
    spec.validate()?;
    let (got, expected) = (training.task_id, spec.task.id());
    if got != expected {
        return Err(BuildError::Task { got, expected });
    }
    let (got, expected) = (training.exponents.len(), spec.task.model().tensors().len());
    if got != expected {
        return Err(BuildError::Tensors { got, expected });
    }
    let state = genesis_state(&spec.params, &spec.balances, training)?;
    let pairs = state.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    let header = genesis_header(trie::root_of(pairs));
    Ok(Genesis { hash: header_hash(&header), header, state })
}

#[cfg(test)]
mod tests {
    use descent_runtime::{StateRead, storage};

    use super::*;
    use crate::{accounts, dev, local};

    /// Stands for what consensus computes, which takes kernels.
    fn training(spec: &ChainSpec) -> GenesisTraining {
        let tensors = spec.task.model().tensors().len();
        GenesisTraining {
            checkpoint_root: H256::repeat_byte(7),
            exponents: vec![12; tensors],
            running: vec![1 << 20; tensors],
            task_id: spec.task.id(),
        }
    }

    /// Independent of the built-in dataset, so that only a change of rules moves the hashes below.
    fn spec(id: &str) -> ChainSpec {
        ChainSpec::builtin(id, Some(&[b'a'; 4096]), None).unwrap()
    }

    /// A change here is a change of the chains: nodes before and after it are strangers.
    #[test]
    fn genesis_hashes_are_pinned() {
        let pinned = [
            (dev::ID, "0xd23109b5731dcf3eb0906de1ab299123361ca9c57c0cd455c75f80bf8e56d0e7"),
            (local::ID, "0x9e63423d1bd52c4de8d220d616d830924ee9d9cb97c2ea71a6c53e8f080142c1"),
        ];
        let hash = |id| format!("{:?}", build_genesis(&spec(id), training(&spec(id))).unwrap().hash);
        assert_eq!(pinned.map(|(id, _)| (id, hash(id))), pinned.map(|(id, hash)| (id, hash.to_owned())));
    }

    #[test]
    fn genesis_block_commits_the_state() {
        let spec = spec(dev::ID);
        let genesis = build_genesis(&spec, training(&spec)).unwrap();
        assert_eq!((genesis.header.number, genesis.header.parent_hash), (0, H256::zero()));
        assert_eq!(storage::TOTAL_ISSUANCE.get(&genesis.state), Ok(spec.endowed()));
        assert_eq!(storage::TASK_ID.get(&genesis.state), Ok(spec.task.id()));
        let alice = accounts::well_known("Alice").unwrap();
        let account = storage::ACCOUNT.get(&genesis.state, &alice).unwrap().expect("endowed");
        assert_eq!(account.data.free, dev::ENDOWMENT);
        assert!(StateRead::get(&genesis.state, b":code").unwrap().is_some());
    }

    #[test]
    fn every_part_of_a_specification_that_is_a_rule_moves_the_hash() {
        let spec = spec(dev::ID);
        let hash = |spec: &ChainSpec| build_genesis(spec, training(spec)).unwrap().hash;
        let changed = |change: &dyn Fn(&mut ChainSpec)| {
            let mut other = spec.clone();
            change(&mut other);
            hash(&other)
        };
        assert_ne!(changed(&|s| s.params.finality_depth += 1), hash(&spec));
        assert_ne!(changed(&|s| s.task.dataset_root = H256::zero()), hash(&spec));
        assert_ne!(changed(&|s| s.balances[0].1 += 1), hash(&spec));
        assert_eq!(changed(&|s| s.name = "Another".to_owned()), hash(&spec));
    }

    #[test]
    fn each_build_rule_is_enforced() {
        let spec = spec(dev::ID);
        let good = training(&spec);

        let other = GenesisTraining { task_id: H256::zero(), ..good.clone() };
        let expected = spec.task.id();
        assert_eq!(build_genesis(&spec, other), Err(BuildError::Task { got: H256::zero(), expected }));

        let expected = good.exponents.len();
        let other = GenesisTraining { exponents: vec![12], ..good.clone() };
        assert_eq!(build_genesis(&spec, other), Err(BuildError::Tensors { got: 1, expected }));

        let other = GenesisTraining { running: vec![], ..good.clone() };
        let error = GenesisError::Running { got: 0, expected };
        assert_eq!(build_genesis(&spec, other), Err(BuildError::State(error)));

        let broken = ChainSpec { id: "Dev".to_owned(), ..spec };
        let error = SpecError::Id { got: "Dev".to_owned() };
        assert_eq!(build_genesis(&broken, good), Err(BuildError::Spec(error)));
    }
}
