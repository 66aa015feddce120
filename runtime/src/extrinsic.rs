//! Signed extrinsics, version 4 of Substrate's format.
//!
//! `Compact(length) 0x84 MultiAddress::Id MultiSignature era Compact(nonce) Compact(tip) mode call`,
//! where `mode` belongs to the extension `CheckMetadataHash`. Nothing may be left over.

use codec::{Compact, Decode, Encode};
use sp_core::Pair;
use sp_runtime::generic::Era;
use sp_runtime::traits::{IdentifyAccount, Verify};
use sp_runtime::{MultiAddress, MultiSignature, MultiSigner};

use crate::call::{Address, RuntimeCall};
use crate::state::StateError;
use crate::training::ReceiptError;
use crate::types::{AccountId, Balance, BlockNumber, H256, Nonce, blake2_256};
use crate::version::{SPEC_VERSION, TRANSACTION_VERSION};

/// Format version 4, with the bit that says "signed".
pub const SIGNED_V4: u8 = 0x84;
/// The payload is signed by its hash when it is longer than this.
const MAX_PLAIN_PAYLOAD: usize = 256;

/// An extrinsic that a block can't include.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExtrinsicError {
    /// An extrinsic starts with its length.
    #[error("length prefix does not decode")]
    LengthPrefix,
    /// The length is that of what follows.
    #[error("extrinsic is {got} bytes behind its length prefix, expected {expected}")]
    Length {
        /// Bytes found.
        got: usize,
        /// Bytes declared.
        expected: u32,
    },
    /// Only signed extrinsics of version 4 exist.
    #[error("extrinsic version byte is {got}, expected 0x84")]
    Version {
        /// Given byte.
        got: u8,
    },
    /// A part does not decode.
    #[error("{part} of the extrinsic does not decode")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// A signer is named by its account id.
    #[error("signer is not given by its account id")]
    AddressKind,
    /// Nothing follows the call.
    #[error("{got} bytes follow the call, expected 0")]
    TrailingBytes {
        /// Bytes found.
        got: usize,
    },
    /// Extension `CheckMetadataHash`: no metadata hash can be checked.
    #[error("metadata hash mode is {got}, expected 0")]
    MetadataHashMode {
        /// Given mode.
        got: u8,
    },
    /// Extension `CheckNonZeroSender`: nobody knows the key of the zero account.
    #[error("signer is the zero account")]
    ZeroSender,
    /// Extension `CheckMortality`: a mortal extrinsic starts at a block whose hash is known.
    #[error("hash of block {birth}, where the extrinsic's era starts, is not known")]
    AncientBirthBlock {
        /// First block of the era.
        birth: u64,
    },
    /// The signature is the signer's over exactly this content on this chain.
    #[error("signature does not verify")]
    Signature,
    /// Extension `CheckNonce`: used already.
    #[error("nonce is {got}, expected {expected}: used already")]
    NonceStale {
        /// Given nonce.
        got: Nonce,
        /// The account's next nonce.
        expected: Nonce,
    },
    /// Extension `CheckNonce`: perhaps valid later.
    #[error("nonce is {got}, expected {expected}: too early")]
    NonceFuture {
        /// Given nonce.
        got: Nonce,
        /// The account's next nonce.
        expected: Nonce,
    },
    /// An account's last nonce is never used.
    #[error("nonce {got} is the last, expected less")]
    NonceExhausted {
        /// Given nonce.
        got: Nonce,
    },
    /// Extension `ChargeTransactionPayment`: fee and tip leave the account open.
    #[error("free balance is {got}, expected at least {expected} for fee, tip and deposit")]
    FeeUnpayable {
        /// Free balance.
        got: Balance,
        /// Fee, tip and existential deposit.
        expected: Balance,
    },
    /// A receipt takes nothing from its account at inclusion, so it can't tip.
    #[error("receipt has a tip of {got}, expected 0")]
    ReceiptTip {
        /// Given tip.
        got: Balance,
    },
    /// A block's extrinsics have a byte budget.
    #[error("block would have {got} bytes of extrinsics, expected at most {limit}")]
    BlockBytes {
        /// Bytes with this extrinsic.
        got: u64,
        /// Most bytes.
        limit: u32,
    },
    /// The receipt breaks a rule.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A signed extrinsic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedExtrinsic {
    /// Who signed, and pays.
    pub signer: AccountId,
    /// Over [`signing_payload`].
    pub signature: MultiSignature,
    /// When it can be included.
    pub era: Era,
    /// How many extrinsics of the signer come before it.
    pub nonce: Nonce,
    /// Paid to whoever mines the block.
    pub tip: Balance,
    /// What it asks for.
    pub call: RuntimeCall,
}

impl SignedExtrinsic {
    /// Builds and signs an extrinsic. `checkpoint` is the hash of the block where the era starts,
    /// for an immortal one the genesis block's.
    pub fn new<P>(
        pair: &P,
        call: RuntimeCall,
        nonce: Nonce,
        tip: Balance,
        era: Era,
        genesis_hash: H256,
        checkpoint: H256,
    ) -> Self
    where
        P: Pair,
        MultiSigner: From<P::Public>,
        MultiSignature: From<P::Signature>,
    {
        let payload = signing_payload(&call, era, nonce, tip, genesis_hash, checkpoint);
        Self {
            signer: MultiSigner::from(pair.public()).into_account(),
            signature: pair.sign(&payload).into(),
            era,
            nonce,
            tip,
            call,
        }
    }

    /// The bytes as they stand in a block, with their length prefix.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![SIGNED_V4];
        Address::Id(self.signer.clone()).encode_to(&mut body);
        self.signature.encode_to(&mut body);
        self.era.encode_to(&mut body);
        Compact(self.nonce).encode_to(&mut body);
        Compact(self.tip).encode_to(&mut body);
        body.push(0);
        self.call.encode_to(&mut body);
        // A byte vector encodes as its compact length and its bytes.
        body.encode()
    }

    /// Decodes the bytes of a block, which must be exactly one extrinsic.
    ///
    /// # Errors
    ///
    /// The rule of the format that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, ExtrinsicError> {
        let mut input = bytes;
        let Compact(expected) = Compact::<u32>::decode(&mut input).map_err(|_| ExtrinsicError::LengthPrefix)?;
        // A length that doesn't fit a usize isn't that of a slice.
        if usize::try_from(expected) != Ok(input.len()) {
            return Err(ExtrinsicError::Length { got: input.len(), expected });
        }
        let version = part::<u8>(&mut input, "version")?;
        if version != SIGNED_V4 {
            return Err(ExtrinsicError::Version { got: version });
        }
        let MultiAddress::Id(signer) = part::<Address>(&mut input, "address")? else {
            return Err(ExtrinsicError::AddressKind);
        };
        let signature = part(&mut input, "signature")?;
        let era = part(&mut input, "era")?;
        let Compact(nonce) = part::<Compact<Nonce>>(&mut input, "nonce")?;
        let Compact(tip) = part::<Compact<Balance>>(&mut input, "tip")?;
        let mode = part::<u8>(&mut input, "metadata hash mode")?;
        if mode != 0 {
            return Err(ExtrinsicError::MetadataHashMode { got: mode });
        }
        let call = part(&mut input, "call")?;
        if !input.is_empty() {
            return Err(ExtrinsicError::TrailingBytes { got: input.len() });
        }
        Ok(Self { signer, signature, era, nonce, tip, call })
    }

    /// First block of the era that a block `number` would include the extrinsic in; none for an
    /// immortal one.
    pub fn birth(&self, number: BlockNumber) -> Option<u64> {
        (!self.era.is_immortal()).then(|| self.era.birth(u64::from(number)))
    }

    /// Whether the signature is the signer's on this chain.
    pub fn is_signed(&self, genesis_hash: H256, checkpoint: H256) -> bool {
        let Self { era, nonce, tip, .. } = *self;
        let payload = signing_payload(&self.call, era, nonce, tip, genesis_hash, checkpoint);
        self.signature.verify(&payload[..], &self.signer)
    }
}

/// Hash that names an extrinsic: of its bytes with their length prefix.
pub fn extrinsic_hash(bytes: &[u8]) -> H256 {
    blake2_256(bytes)
}

/// What a signature covers: call and extensions, then what both sides know without sending it.
pub fn signing_payload(
    call: &RuntimeCall,
    era: Era,
    nonce: Nonce,
    tip: Balance,
    genesis_hash: H256,
    checkpoint: H256,
) -> Vec<u8> {
    let mode = 0u8;
    let metadata_hash = None::<[u8; 32]>;
    let explicit = (call, era, Compact(nonce), Compact(tip), mode);
    let implicit = (SPEC_VERSION, TRANSACTION_VERSION, genesis_hash, checkpoint, metadata_hash);
    let payload = (explicit, implicit).encode();
    if payload.len() > MAX_PLAIN_PAYLOAD {
        return blake2_256(&payload).as_bytes().to_vec();
    }
    payload
}

fn part<T: Decode>(input: &mut &[u8], part: &'static str) -> Result<T, ExtrinsicError> {
    T::decode(input).map_err(|_| ExtrinsicError::Malformed { part })
}

#[cfg(test)]
mod tests;
