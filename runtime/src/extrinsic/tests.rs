use codec::DecodeAll;
use proptest::prelude::*;
use sp_core::{ecdsa, ed25519, sr25519};

use super::*;
use crate::call::SystemCall;
use crate::testing::{account, pair, receipt, summary, transfer};

const GENESIS: H256 = H256::repeat_byte(7);

fn signed(call: RuntimeCall) -> SignedExtrinsic {
    SignedExtrinsic::new(&pair(1), call, 3, 11, Era::mortal(64, 100), GENESIS, H256::zero())
}

/// Encodes a body with its length prefix.
fn framed(body: &[u8]) -> Vec<u8> {
    body.to_vec().encode()
}

/// The body of an encoded extrinsic.
fn body(extrinsic: &SignedExtrinsic) -> Vec<u8> {
    Vec::decode_all(&mut &extrinsic.encode()[..]).expect("prefixed bytes")
}

fn remark(bytes: usize) -> RuntimeCall {
    RuntimeCall::System(SystemCall::Remark { remark: vec![1; bytes] })
}

#[test]
fn layout_is_that_of_version_4() {
    let bytes = body(&signed(transfer(&account(2), 5)));
    assert_eq!(bytes[..2], [0x84, 0]);
    assert_eq!(bytes[2..34], *AsRef::<[u8]>::as_ref(&account(1)));
    // Sr25519, 64 bytes; then a mortal era of two bytes, nonce, tip, mode.
    assert_eq!(bytes[34], 1);
    assert_eq!(bytes[99..101], Era::mortal(64, 100).encode());
    assert_eq!(bytes[101..104], [3 << 2, 11 << 2, 0]);
    // Balances.transfer_allow_death to MultiAddress::Id.
    assert_eq!(bytes[104..107], [4, 0, 0]);
}

#[test]
fn short_payloads_are_signed_plain_and_long_ones_hashed() {
    let payload = |call| signing_payload(&call, Era::Immortal, 0, 0, GENESIS, GENESIS);
    let plain = payload(transfer(&account(2), 5));
    // Spec version, transaction version, genesis, checkpoint and no metadata hash at the end.
    let end = (1u32, 1u32, GENESIS, GENESIS, None::<[u8; 32]>).encode();
    assert!(plain.ends_with(&end));
    let overhead = payload(remark(0)).len();
    // From 64 bytes on the remark's own length takes a second byte.
    assert_eq!(payload(remark(256 - overhead - 1)).len(), 256);
    assert_eq!(payload(remark(256 - overhead)).len(), 32);
}

fn verifies_with<P>(pair: &P)
where
    P: Pair,
    MultiSigner: From<P::Public>,
    MultiSignature: From<P::Signature>,
{
    let call = transfer(&account(2), 5);
    let extrinsic = SignedExtrinsic::new(pair, call, 0, 0, Era::Immortal, GENESIS, GENESIS);
    assert!(extrinsic.is_signed(GENESIS, GENESIS));
    assert!(!extrinsic.is_signed(H256::zero(), GENESIS));
    assert!(!extrinsic.is_signed(GENESIS, H256::zero()));
    let changed = SignedExtrinsic { tip: 1, ..extrinsic.clone() };
    assert!(!changed.is_signed(GENESIS, GENESIS));
    let stolen = SignedExtrinsic { signer: account(2), ..extrinsic };
    assert!(!stolen.is_signed(GENESIS, GENESIS));
}

#[test]
fn every_signature_scheme_verifies() {
    verifies_with(&sr25519::Pair::from_seed(&[1; 32]));
    verifies_with(&ed25519::Pair::from_seed(&[1; 32]));
    verifies_with(&ecdsa::Pair::from_seed(&[1; 32]));
}

#[test]
fn length_prefix() {
    assert_eq!(SignedExtrinsic::decode(&[]), Err(ExtrinsicError::LengthPrefix));
    // Two bytes for a length that fits one.
    assert_eq!(SignedExtrinsic::decode(&[0x05, 0]), Err(ExtrinsicError::LengthPrefix));
}

#[test]
fn length() {
    let error = ExtrinsicError::Length { got: 1, expected: 2 };
    assert_eq!(SignedExtrinsic::decode(&[2 << 2, 0x84]), Err(error));
    let error = ExtrinsicError::Length { got: 2, expected: 1 };
    assert_eq!(SignedExtrinsic::decode(&[1 << 2, 0x84, 0]), Err(error));
}

#[test]
fn version() {
    let mut bytes = body(&signed(remark(1)));
    bytes[0] = 0x04;
    let error = ExtrinsicError::Version { got: 0x04 };
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(error));
}

#[test]
fn address_kind() {
    let mut bytes = body(&signed(remark(1)));
    bytes[1] = 3;
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(ExtrinsicError::AddressKind));
}

#[test]
fn malformed() {
    let mut bytes = body(&signed(remark(1)));
    bytes.truncate(50);
    let error = ExtrinsicError::Malformed { part: "signature" };
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(error));
    let mut bytes = body(&signed(remark(1)));
    // No pallet has this index.
    bytes[104] = 99;
    let error = ExtrinsicError::Malformed { part: "call" };
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(error));
}

#[test]
fn trailing_bytes() {
    let mut bytes = body(&signed(remark(1)));
    bytes.push(0);
    let error = ExtrinsicError::TrailingBytes { got: 1 };
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(error));
}

#[test]
fn metadata_hash_mode() {
    let mut bytes = body(&signed(remark(1)));
    bytes[103] = 1;
    let error = ExtrinsicError::MetadataHashMode { got: 1 };
    assert_eq!(SignedExtrinsic::decode(&framed(&bytes)), Err(error));
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        nonce: u32, tip: u128, value: u128, period in 4u64..70_000, now: u32, pick in 0..3,
    ) {
        let call = match pick {
            0 => transfer(&account(2), value),
            1 => remark(value as usize % 600),
            _ => receipt(summary(nonce, now, 4, 9)),
        };
        let era = Era::mortal(period, u64::from(now));
        let extrinsic =
            SignedExtrinsic::new(&pair(1), call, nonce, tip, era, GENESIS, H256::zero());
        let bytes = extrinsic.encode();
        prop_assert_eq!(SignedExtrinsic::decode(&bytes), Ok(extrinsic.clone()));
        prop_assert!(extrinsic.is_signed(GENESIS, H256::zero()));
    }

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignedExtrinsic::decode(&bytes);
        let mut body = vec![SIGNED_V4, 0];
        body.extend(&bytes);
        let _ = SignedExtrinsic::decode(&framed(&body));
    }

    /// What decodes is the only encoding of what it decodes to.
    #[test]
    fn changed_bytes_are_refused_or_mean_something_else(at in 0usize..120, flip in 1u8..) {
        let mut bytes = signed(transfer(&account(2), 5)).encode();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= flip;
        }
        if let Ok(decoded) = SignedExtrinsic::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }
}
