//! Each field of a valid block is altered, and its own rule has to notice. One row for one field or error variant.

mod blocks;
mod receipts;
mod seals;
mod witnesses;

use codec::{Decode, Encode};
use descent_runtime::{Header, PreDigest, UPOW_ENGINE_ID, pre_digest};
use sp_runtime::DigestItem;

use super::{Miner, TestBlock, TestChain, quick};
use crate::seal::{Seal, SealError};
use crate::verify::BlockError;
use crate::witness::Witness;

/// A chain of one block and a valid second one.
pub(super) struct Fixture {
    pub(super) chain: TestChain,
    pub(super) miner: Miner,
    pub(super) block: TestBlock,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let mut chain = TestChain::new(quick);
        let mut miner = Miner::new("Alice", 7);
        let genesis = chain.genesis;
        let parent = miner.extend(&mut chain, genesis, 1)[0].hash();
        let block = miner.mine_next(&chain, parent, Vec::new());
        chain.check(&block).expect("valid");
        Self { chain, miner, block }
    }

    /// What the rules say about the block after an edit.
    pub(super) fn edited(&self, edit: impl FnOnce(&mut TestBlock)) -> BlockError {
        let mut block = self.block.clone();
        edit(&mut block);
        self.chain.check_on(self.block.header.parent_hash, &block).expect_err("broken")
    }

    /// The same after an edit of the seal and the witness; the seal names whatever witness results.
    pub(super) fn resealed(&self, edit: impl FnOnce(&mut Seal, &mut Vec<u8>)) -> SealError {
        let error = self.edited(|block| {
            let mut seal = seal_of(&block.header);
            edit(&mut seal, &mut block.witness);
            seal.witness = Witness::digest(&block.witness);
            set_seal(&mut block.header, seal.encode());
        });
        seal_error(error)
    }

    pub(super) fn seal(&self) -> Seal {
        seal_of(&self.block.header)
    }
}

pub(super) fn seal_of(header: &Header) -> Seal {
    let Some(DigestItem::Seal(_, bytes)) = header.digest.logs.last() else { panic!("unsealed") };
    Seal::decode(&mut &bytes[..]).expect("valid seal")
}

pub(super) fn set_seal(header: &mut Header, bytes: Vec<u8>) {
    *header.digest.logs.last_mut().expect("sealed") = DigestItem::Seal(UPOW_ENGINE_ID, bytes);
}

pub(super) fn edit_pre(header: &mut Header, edit: impl FnOnce(&mut PreDigest)) {
    let mut pre = pre_digest(header).expect("valid header");
    edit(&mut pre);
    header.digest.logs[0] = DigestItem::PreRuntime(UPOW_ENGINE_ID, pre.encode());
}

pub(super) fn seal_error(error: BlockError) -> SealError {
    match error {
        BlockError::Seal(error) => error,
        other => panic!("{other}"),
    }
}
