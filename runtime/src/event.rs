//! What a block did, as clients read it from `System.Events`.
//!
//! Indices of variants are those of Substrate's pallets. An extrinsic's last event tells whether
//! it succeeded.

use codec::{Decode, Encode};
use scale_info::TypeInfo;
use sp_runtime::{DispatchError, Weight};

use crate::types::{AccountId, Balance, H256};

/// When in a block an event happened.
#[derive(Encode, Decode, TypeInfo, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In the extrinsic at this position.
    ApplyExtrinsic(u32),
    /// After the extrinsics.
    Finalization,
    /// Before the extrinsics: seal, verdicts, settlement, step.
    Initialization,
}

/// An event with its circumstances.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// When it happened.
    pub phase: Phase,
    /// What happened.
    pub event: RuntimeEvent,
    /// Always empty; clients expect the field.
    pub topics: Vec<H256>,
}

/// The events of all pallets.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub enum RuntimeEvent {
    /// Accounts and extrinsics.
    #[codec(index = 0)]
    System(SystemEvent),
    /// Money.
    #[codec(index = 4)]
    Balances(BalancesEvent),
    /// Fees.
    #[codec(index = 5)]
    TransactionPayment(TransactionPaymentEvent),
    /// Seals, receipts, rounds.
    #[codec(index = 6)]
    Training(TrainingEvent),
}

/// How much of a block's budget an extrinsic takes.
#[derive(Encode, Decode, TypeInfo, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DispatchClass {
    /// From a user.
    Normal,
    /// Not used.
    Operational,
    /// Not used.
    Mandatory,
}

/// Whether an extrinsic pays at inclusion.
#[derive(Encode, Decode, TypeInfo, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pays {
    /// It does.
    Yes,
    /// It does not: a receipt, which pays when its round is settled.
    No,
}

/// What clients show beside an extrinsic's result.
#[derive(Encode, Decode, TypeInfo, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchInfo {
    /// Zero: blocks are limited by bytes and receipts, not by weight.
    pub weight: Weight,
    /// Always normal.
    pub class: DispatchClass,
    /// Whether the fee was taken.
    pub pays_fee: Pays,
}

/// Events of the system.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub enum SystemEvent {
    /// An extrinsic did what it says.
    #[codec(index = 0)]
    ExtrinsicSuccess {
        /// Its circumstances.
        dispatch_info: DispatchInfo,
    },
    /// An extrinsic paid its fee and did nothing else.
    #[codec(index = 1)]
    ExtrinsicFailed {
        /// Why.
        dispatch_error: DispatchError,
        /// Its circumstances.
        dispatch_info: DispatchInfo,
    },
    /// An account came to hold a balance.
    #[codec(index = 3)]
    NewAccount {
        /// Which.
        account: AccountId,
    },
    /// An account ceased to hold a balance.
    #[codec(index = 4)]
    KilledAccount {
        /// Which.
        account: AccountId,
    },
}

/// Events of money.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub enum BalancesEvent {
    /// A new account's first balance.
    #[codec(index = 0)]
    Endowed {
        /// The account.
        account: AccountId,
        /// The balance.
        free_balance: Balance,
    },
    /// What was left of an account was below the existential deposit and was burned.
    #[codec(index = 1)]
    DustLost {
        /// The account.
        account: AccountId,
        /// What was burned.
        amount: Balance,
    },
    /// Money moved.
    #[codec(index = 2)]
    Transfer {
        /// Payer.
        from: AccountId,
        /// Payee.
        to: AccountId,
        /// How much.
        amount: Balance,
    },
    /// Money arrived: a reward, pay or tip.
    #[codec(index = 7)]
    Deposit {
        /// Payee.
        who: AccountId,
        /// How much.
        amount: Balance,
    },
    /// Money left: a fee and its tip.
    #[codec(index = 8)]
    Withdraw {
        /// Payer.
        who: AccountId,
        /// How much.
        amount: Balance,
    },
}

/// Events of fees.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub enum TransactionPaymentEvent {
    /// An extrinsic's fee was taken.
    #[codec(index = 0)]
    TransactionFeePaid {
        /// Payer.
        who: AccountId,
        /// Fee and tip together.
        actual_fee: Balance,
        /// The part that went to the sealer.
        tip: Balance,
    },
}

/// Events of training.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq)]
pub enum TrainingEvent {
    /// The parent's seal was paid.
    #[codec(index = 0)]
    SealRewarded {
        /// Whose seal.
        sealer: AccountId,
        /// The sealer's lane.
        lane: u32,
        /// The winning ticket.
        ticket: H256,
        /// Mean loss of the winning microbatch, nats times 2^20.
        loss: u32,
        /// What the seal earned at once.
        reward: Balance,
        /// Round whose pot got the rest, and the seal its share.
        round: u32,
    },
    /// A receipt was included.
    #[codec(index = 1)]
    ReceiptIncluded {
        /// The receipt.
        receipt: H256,
        /// Whose.
        account: AccountId,
        /// Round of its microbatches.
        round: u32,
        /// How many microbatches.
        count: u32,
        /// How many share claims.
        shares: u32,
    },
    /// A receipt passed its samples.
    #[codec(index = 2)]
    ReceiptConfirmed {
        /// The receipt.
        receipt: H256,
    },
    /// A receipt lost pay and gradient.
    #[codec(index = 3)]
    ReceiptVoided {
        /// The receipt.
        receipt: H256,
        /// Whose.
        account: AccountId,
        /// The receipt whose samples failed: this one, or another of the account.
        because: H256,
    },
    /// An account's share pay of a settled round.
    #[codec(index = 4)]
    SharesPaid {
        /// Payee.
        account: AccountId,
        /// The round.
        round: u32,
        /// Shares paid for.
        shares: u64,
        /// What arrived.
        paid: Balance,
        /// What its receipts cost.
        fee: Balance,
    },
    /// A round's pots were paid out.
    #[codec(index = 5)]
    RoundSettled {
        /// The round.
        round: u32,
        /// Shares paid for.
        shares: u64,
        /// Paid for shares and inclusion, before fees.
        paid: Balance,
        /// Moved to the next round's pots.
        carried: Balance,
        /// Left over and burned.
        burned: Balance,
    },
    /// A round ended: its step made a new checkpoint.
    #[codec(index = 6)]
    CheckpointCommitted {
        /// The round that starts from the checkpoint.
        round: u32,
        /// Commitment to weights and moments.
        checkpoint_root: H256,
        /// Tokens in the step.
        tokens: u64,
        /// Mean loss over the step's microbatches, nats times 2^20.
        loss: u32,
    },
}

impl From<SystemEvent> for RuntimeEvent {
    fn from(event: SystemEvent) -> Self {
        Self::System(event)
    }
}

impl From<BalancesEvent> for RuntimeEvent {
    fn from(event: BalancesEvent) -> Self {
        Self::Balances(event)
    }
}

impl From<TransactionPaymentEvent> for RuntimeEvent {
    fn from(event: TransactionPaymentEvent) -> Self {
        Self::TransactionPayment(event)
    }
}

impl From<TrainingEvent> for RuntimeEvent {
    fn from(event: TrainingEvent) -> Self {
        Self::Training(event)
    }
}

/// The events of a block so far, with the phase that the next one gets.
#[derive(Debug)]
pub struct EventLog {
    records: Vec<EventRecord>,
    phase: Phase,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { records: Vec::new(), phase: Phase::Initialization }
    }
}

impl EventLog {
    /// Appends an event.
    pub fn push(&mut self, event: impl Into<RuntimeEvent>) {
        self.records.push(EventRecord { phase: self.phase, event: event.into(), topics: Vec::new() });
    }

    /// Sets the phase of later events.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Events so far.
    pub fn records(&self) -> &[EventRecord] {
        &self.records
    }

    /// Forgets all but the first `len` events.
    pub fn truncate(&mut self, len: usize) {
        self.records.truncate(len);
    }

    /// Ends the log.
    pub fn into_records(self) -> Vec<EventRecord> {
        self.records
    }
}
