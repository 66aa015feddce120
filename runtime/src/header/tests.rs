use super::*;

fn pre() -> PreDigest {
    PreDigest { sealer: AccountId::new([5; 32]), lane: 7, timestamp_ms: 1_234 }
}

fn header() -> Header {
    unsealed_header(H256::repeat_byte(1), 9, H256::repeat_byte(2), H256::repeat_byte(3), &pre())
}

#[test]
fn hash_is_blake2b_of_the_encoding() {
    let sealed = with_seal(header(), vec![1, 2]).expect("one seal");
    assert_eq!(header_hash(&sealed), crate::types::blake2_256(&sealed.encode()));
    assert_ne!(header_hash(&sealed), header_hash(&header()));
}

#[test]
fn seal_comes_off_as_it_went_on() {
    let sealed = with_seal(header(), vec![1, 2]).expect("one seal");
    assert_eq!(split_seal(&sealed), Ok((header(), Some(vec![1, 2]))));
    assert_eq!(split_seal(&header()), Ok((header(), None)));
    assert_eq!(pre_digest(&sealed), Ok(pre()));
    assert_eq!(pre().encode().len(), PRE_DIGEST_BYTES);
}

#[test]
fn item_count() {
    let mut empty = header();
    empty.digest.logs.clear();
    assert_eq!(pre_digest(&empty), Err(HeaderError::ItemCount { got: 0 }));
    let sealed = with_seal(header(), vec![]).expect("one seal");
    assert_eq!(with_seal(sealed, vec![]), Err(HeaderError::ItemCount { got: 3 }));
}

#[test]
fn pre_runtime_first() {
    let mut header = header();
    header.digest.logs[0] = DigestItem::PreRuntime(*b"aura", pre().encode());
    assert_eq!(pre_digest(&header), Err(HeaderError::PreRuntimeFirst));
    header.digest.logs[0] = DigestItem::Other(pre().encode());
    assert_eq!(pre_digest(&header), Err(HeaderError::PreRuntimeFirst));
}

#[test]
fn seal_last() {
    let mut header = header();
    header.digest.push(DigestItem::Seal(*b"pow_", vec![]));
    assert_eq!(split_seal(&header), Err(HeaderError::SealLast));
}

#[test]
fn pre_digest_malformed() {
    let mut header = header();
    let mut payload = pre().encode();
    payload.push(0);
    header.digest.logs[0] = DigestItem::PreRuntime(UPOW_ENGINE_ID, payload);
    let malformed = HeaderError::PreDigestMalformed { got: 45, expected: 44 };
    assert_eq!(pre_digest(&header), Err(malformed));
}

#[test]
fn extrinsics_root_depends_on_order_and_content() {
    let (a, b) = (vec![1; 40], vec![2; 40]);
    let root = extrinsics_root(&[a.clone(), b.clone()]);
    assert_ne!(root, extrinsics_root(&[b, a.clone()]));
    assert_ne!(root, extrinsics_root(&[a]));
    assert_eq!(extrinsics_root(&[]), crate::trie::empty_root());
}
