//! One block: the parent's seal, verdicts, settlement, the step, then the extrinsics.

use sp_runtime::{DispatchError, Weight};

use crate::balances::{self, CallError};
use crate::call::{RuntimeCall, SystemCall, TrainingCall};
use crate::error::RuntimeError;
use crate::event::{
    DispatchClass, DispatchInfo, EventLog, EventRecord, Pays, Phase, SystemEvent, TrainingEvent,
    TransactionPaymentEvent,
};
use crate::extrinsic::{ExtrinsicError, SignedExtrinsic};
use crate::header::{self, Header, PreDigest};
use crate::issuance;
use crate::params::ChainParams;
use crate::state::{Changes, Overlay, StateRead};
use crate::storage;
use crate::training::receipt::{self, Inclusion};
use crate::training::{BlockInputs, ReceiptError, ReceiptRecord, ReceiptSummary};
use crate::training::{seal, settle, step, verdict};
use crate::types::{AccountId, Balance, BlockNumber, H256};

/// What a block did.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// What it wrote.
    pub changes: Changes,
    /// What happened, as written to `System.Events`.
    pub events: Vec<EventRecord>,
    /// The receipts it included.
    pub receipts: Vec<ReceiptRecord>,
    /// Fees that its extrinsics burned.
    pub fees_burned: Balance,
    /// Tips that its sealer was due.
    pub tips: Balance,
}

/// Executes a whole block on top of its parent's state. The header may be sealed or not.
///
/// The state root is not checked: that takes a trie over the changes.
///
/// # Errors
///
/// The rule that the block breaks, or that the inputs are not those of this block.
pub fn execute_block(
    params: &ChainParams,
    genesis_hash: H256,
    state: &dyn StateRead,
    header: &Header,
    inputs: &BlockInputs,
    extrinsics: &[Vec<u8>],
) -> Result<Execution, RuntimeError> {
    let pre = header::pre_digest(header)?;
    let bytes = extrinsics.iter().map(|extrinsic| extrinsic.len() as u64).sum::<u64>();
    if bytes > u64::from(params.max_block_bytes) {
        return Err(RuntimeError::BlockBytes { got: bytes, limit: params.max_block_bytes });
    }
    let expected = header::extrinsics_root(extrinsics);
    if header.extrinsics_root != expected {
        return Err(RuntimeError::ExtrinsicsRoot { got: header.extrinsics_root, expected });
    }
    let parent = header.parent_hash;
    let mut block = BlockExecutor::begin(params, genesis_hash, state, parent, header.number, &pre, inputs)?;
    for (position, extrinsic) in extrinsics.iter().enumerate() {
        block.apply_extrinsic(extrinsic).map_err(|source| RuntimeError::Extrinsic { position, source })?;
    }
    block.finish()
}

/// A block being executed, so that its author can leave out the extrinsics that don't fit.
pub struct BlockExecutor<'a> {
    params: &'a ChainParams,
    genesis_hash: H256,
    number: BlockNumber,
    sealer: AccountId,
    state: Overlay<'a>,
    events: EventLog,
    receipts: Vec<ReceiptRecord>,
    extrinsics: u32,
    bytes: u64,
    fees_burned: Balance,
    tips: Balance,
}

impl<'a> BlockExecutor<'a> {
    /// Executes everything that comes before the extrinsics.
    ///
    /// # Errors
    ///
    /// When the inputs are not those of this block.
    pub fn begin(
        params: &'a ChainParams,
        genesis_hash: H256,
        state: &'a dyn StateRead,
        parent_hash: H256,
        number: BlockNumber,
        pre: &PreDigest,
        inputs: &BlockInputs,
    ) -> Result<Self, RuntimeError> {
        let expected = u64::from(storage::NUMBER.get(state)?) + 1;
        if u64::from(number) != expected {
            return Err(RuntimeError::Number { got: number, expected });
        }
        let mut block = Self {
            params,
            genesis_hash,
            number,
            sealer: pre.sealer.clone(),
            state: Overlay::new(state),
            events: EventLog::default(),
            receipts: Vec::new(),
            extrinsics: 0,
            bytes: 0,
            fees_burned: 0,
            tips: 0,
        };
        block.set_block(parent_hash, pre);
        let (state, events) = (&mut block.state, &mut block.events);
        seal::apply(params, state, events, number, inputs.parent_seal.as_ref())?;
        for event in verdict::apply(params, state, number, &inputs.verdicts)? {
            events.push(event);
        }
        settle::apply(params, state, events, number)?;
        if let Some(event) = step::apply(params, state, number, inputs.step.as_ref())? {
            events.push(event);
        }
        Ok(block)
    }

    /// Applies one extrinsic, given with its length prefix. After an error the block is as before.
    ///
    /// # Errors
    ///
    /// The rule that keeps the extrinsic out of the block. A call that fails is no error: its
    /// extrinsic is included, and pays.
    pub fn apply_extrinsic(&mut self, bytes: &[u8]) -> Result<(), ExtrinsicError> {
        let mark = self.state.mark();
        let events = self.events.records().len();
        let applied = self.apply(bytes);
        if applied.is_err() {
            self.state.rollback(mark);
            self.events.truncate(events);
        }
        applied
    }

    /// The state as the block has made it so far.
    pub fn state(&self) -> &Overlay<'a> {
        &self.state
    }

    /// Bytes that the block's extrinsics may still take.
    pub fn bytes_left(&self) -> u64 {
        u64::from(self.params.max_block_bytes).saturating_sub(self.bytes)
    }

    /// Ends the block and checks that no money came or went by itself.
    ///
    /// # Errors
    ///
    /// When the money does not add up, which is a defect of this crate and never of a block.
    pub fn finish(mut self) -> Result<Execution, RuntimeError> {
        let state = &mut self.state;
        if !self.receipts.is_empty() {
            storage::RECEIPTS_AT.put(state, &self.number, &self.receipts);
        }
        let events = self.events.into_records();
        // A few events for each extrinsic, receipt and account: far fewer than a u32 counts.
        storage::EVENT_COUNT.put(state, &(events.len() as u32));
        storage::EXTRINSIC_COUNT.put(state, &self.extrinsics);
        storage::EVENTS.put(state, &events);
        issuance::check_issuance(&*state)?;
        issuance::check_block(state)?;
        Ok(Execution {
            changes: self.state.into_changes(),
            events,
            receipts: self.receipts,
            fees_burned: self.fees_burned,
            tips: self.tips,
        })
    }

    fn set_block(&mut self, parent_hash: H256, pre: &PreDigest) {
        let state = &mut self.state;
        let parent = self.number.saturating_sub(1);
        storage::NUMBER.put(state, &self.number);
        storage::PARENT_HASH.put(state, &parent_hash);
        storage::BLOCK_HASH.put(state, &parent, &parent_hash);
        // The genesis block's hash stays, for wallets that look it up.
        let oldest = parent.saturating_sub(storage::BLOCK_HASH_COUNT);
        if oldest > 0 {
            storage::BLOCK_HASH.remove(state, &oldest);
        }
        storage::DIGEST.put(state, &header::digest_of(pre));
        storage::NOW.put(state, &pre.timestamp_ms);
    }

    fn apply(&mut self, bytes: &[u8]) -> Result<(), ExtrinsicError> {
        let total = self.bytes.saturating_add(bytes.len() as u64);
        let limit = self.params.max_block_bytes;
        if total > u64::from(limit) {
            return Err(ExtrinsicError::BlockBytes { got: total, limit });
        }
        let (number, genesis) = (self.number, self.genesis_hash);
        let signed = validate_extrinsic(self.params, genesis, &self.state, number, bytes)?;

        self.events.set_phase(Phase::ApplyExtrinsic(self.extrinsics));
        self.take_nonce(&signed)?;
        // At most the block's byte limit, which is a u32.
        let length_fee = self.params.length_fee(bytes.len() as u32);
        match &signed.call {
            RuntimeCall::Training(TrainingCall::SubmitReceipt { summary }) => {
                self.include_receipt(&signed.signer, summary, length_fee)?;
            }
            _ => self.pay_and_dispatch(&signed, length_fee)?,
        }
        self.extrinsics = self.extrinsics.saturating_add(1);
        self.bytes = total;
        Ok(())
    }

    fn take_nonce(&mut self, signed: &SignedExtrinsic) -> Result<(), ExtrinsicError> {
        let mut info = balances::account(&self.state, &signed.signer)?;
        let got = signed.nonce;
        info.nonce = got.checked_add(1).ok_or(ExtrinsicError::NonceExhausted { got })?;
        balances::set_account(&mut self.state, &signed.signer, &info);
        Ok(())
    }

    fn include_receipt(
        &mut self,
        account: &AccountId,
        summary: &ReceiptSummary,
        length_fee: Balance,
    ) -> Result<(), ReceiptError> {
        let block = Inclusion {
            number: self.number,
            includer: &self.sealer,
            fee: length_fee.saturating_add(self.params.receipt_fee),
        };
        let (params, state) = (self.params, &mut self.state);
        let record = receipt::include(params, state, &self.receipts, account, summary, &block)?;
        self.events.push(TrainingEvent::ReceiptIncluded {
            receipt: record.id,
            account: account.clone(),
            round: summary.round,
            count: summary.count,
            shares: summary.shares,
        });
        self.receipts.push(record);
        self.events.push(SystemEvent::ExtrinsicSuccess { dispatch_info: dispatch_info(Pays::No) });
        Ok(())
    }

    fn pay_and_dispatch(&mut self, signed: &SignedExtrinsic, fee: Balance) -> Result<(), ExtrinsicError> {
        let (params, who) = (self.params, &signed.signer);
        let (state, events) = (&mut self.state, &mut self.events);
        let actual_fee = fee.saturating_add(signed.tip);
        match balances::withdraw(params, state, events, who, actual_fee) {
            Ok(()) => {}
            Err(CallError::State(error)) => return Err(error.into()),
            Err(CallError::Dispatch(_)) => {
                let got = balances::account(state, who)?.data.free;
                let expected = actual_fee.saturating_add(params.existential_deposit);
                return Err(ExtrinsicError::FeeUnpayable { got, expected });
            }
        }
        balances::burn(state, fee)?;

        let mark = state.mark();
        let before = events.records().len();
        let failure = match dispatch(params, state, events, who, &signed.call) {
            Ok(()) => None,
            Err(CallError::State(error)) => return Err(error.into()),
            Err(CallError::Dispatch(error)) => {
                state.rollback(mark);
                events.truncate(before);
                Some(error)
            }
        };
        balances::deposit_or_burn(params, state, events, &self.sealer, signed.tip)?;
        events.push(TransactionPaymentEvent::TransactionFeePaid { who: who.clone(), actual_fee, tip: signed.tip });
        events.push(result_event(failure));
        self.fees_burned = self.fees_burned.saturating_add(fee);
        self.tips = self.tips.saturating_add(signed.tip);
        Ok(())
    }
}

/// Checks an extrinsic as block `number` on top of `state` would, its own block's other receipts
/// and bytes aside. [`ExtrinsicError::NonceFuture`] comes last: what fails with it may be valid
/// later.
///
/// # Errors
///
/// The rule that the extrinsic breaks.
pub fn validate_extrinsic(
    params: &ChainParams,
    genesis_hash: H256,
    state: &dyn StateRead,
    number: BlockNumber,
    bytes: &[u8],
) -> Result<SignedExtrinsic, ExtrinsicError> {
    let (got, limit) = (bytes.len() as u64, params.max_block_bytes);
    if got > u64::from(limit) {
        return Err(ExtrinsicError::BlockBytes { got, limit });
    }
    let signed = SignedExtrinsic::decode(bytes)?;
    if signed.signer == AccountId::new([0; 32]) {
        return Err(ExtrinsicError::ZeroSender);
    }
    let info = balances::account(state, &signed.signer)?;
    let (got, expected) = (signed.nonce, info.nonce);
    if got < expected {
        return Err(ExtrinsicError::NonceStale { got, expected });
    }
    let checkpoint = match signed.birth(number) {
        None => genesis_hash,
        Some(birth) => checkpoint(state, birth)?,
    };
    if !signed.is_signed(genesis_hash, checkpoint) {
        return Err(ExtrinsicError::Signature);
    }
    if let RuntimeCall::Training(TrainingCall::SubmitReceipt { summary }) = &signed.call {
        if signed.tip != 0 {
            return Err(ExtrinsicError::ReceiptTip { got: signed.tip });
        }
        receipt::receipt_is_valid(params, state, number, &signed.signer, summary)?;
    } else {
        // Just checked to fit a u32.
        let fee = params.length_fee(bytes.len() as u32);
        let expected = fee.saturating_add(signed.tip).saturating_add(params.existential_deposit);
        let got = info.data.free;
        if got < expected {
            return Err(ExtrinsicError::FeeUnpayable { got, expected });
        }
    }
    if got > expected {
        return Err(ExtrinsicError::NonceFuture { got, expected });
    }
    Ok(signed)
}

fn checkpoint(state: &dyn StateRead, birth: u64) -> Result<H256, ExtrinsicError> {
    let hash = match BlockNumber::try_from(birth) {
        Ok(number) => storage::BLOCK_HASH.get(state, &number)?,
        Err(_) => None,
    };
    hash.ok_or(ExtrinsicError::AncientBirthBlock { birth })
}

fn dispatch(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    who: &AccountId,
    call: &RuntimeCall,
) -> Result<(), CallError> {
    match call {
        RuntimeCall::System(SystemCall::Remark { .. }) => Ok(()),
        RuntimeCall::Balances(call) => balances::dispatch(params, state, events, who, call),
        // Receipts are included on a path of their own: they pay later.
        RuntimeCall::Training(_) => Err(DispatchError::BadOrigin.into()),
    }
}

fn result_event(failure: Option<DispatchError>) -> SystemEvent {
    let dispatch_info = dispatch_info(Pays::Yes);
    match failure {
        None => SystemEvent::ExtrinsicSuccess { dispatch_info },
        Some(dispatch_error) => SystemEvent::ExtrinsicFailed { dispatch_error, dispatch_info },
    }
}

fn dispatch_info(pays_fee: Pays) -> DispatchInfo {
    DispatchInfo { weight: Weight::zero(), class: DispatchClass::Normal, pays_fee }
}

#[cfg(test)]
mod tests;
