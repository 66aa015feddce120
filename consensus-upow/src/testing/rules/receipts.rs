//! Every variant of [`ReceiptError`], on a receipt of really mined microbatches.

use codec::Encode;
use descent_runtime::{AccountId, BlockNumber, H256, HeaderError, ReceiptSummary, with_seal};
use ml_kernels::config::ModelConfig;
use ml_kernels::lattice::LatticeError;

use super::{Fixture, edit_pre};
use crate::gradient_codec::{self, GradientCodecError};
use crate::receipt::{
    BuiltReceipt, CheckedReceipt, IndexRecord, MAX_TEMPLATES, ReceiptDetails, ReceiptError, ShareClaim, part_digest,
    receipt_parts_are_valid,
};
use crate::testing::account;
use crate::ticket::{TileError, TileId};

struct Receipt {
    f: Fixture,
    account: AccountId,
    built: BuiltReceipt,
    details: ReceiptDetails,
}

impl Receipt {
    /// At least two indices under two templates, on blocks 0 and 1.
    fn new() -> Self {
        let mut f = Fixture::new();
        let built = f.miner.take_receipt(&f.chain).expect("mined for it");
        let summary = &built.summary;
        let details = ReceiptDetails::decode_checked(&built.details, summary.count, summary.shares).expect("own");
        assert!(summary.count >= 2 && details.templates.len() == 2);
        Self { account: f.miner.account(), f, built, details }
    }

    fn check(&self, summary: &ReceiptSummary, details: &[u8], blob: &[u8]) -> Result<CheckedReceipt, ReceiptError> {
        let chain = &self.f.chain;
        let ancestor = |hash: &H256| chain.headers.get(hash).map(|h| h.number);
        let round = |parent: BlockNumber| chain.params.round_after(parent);
        receipt_parts_are_valid(&chain.engine, &self.account, summary, details, blob, &ancestor, &round)
    }

    fn summary(&self, edit: impl FnOnce(&mut ReceiptSummary)) -> ReceiptError {
        let mut summary = self.built.summary.clone();
        edit(&mut summary);
        self.check(&summary, &self.built.details, &self.built.blob).expect_err("broken")
    }

    /// Other bytes as details, with a summary that names them.
    fn bytes(&self, details: &[u8]) -> ReceiptError {
        let mut summary = self.built.summary.clone();
        (summary.details_len, summary.details_hash) = (details.len() as u32, part_digest(details));
        self.check(&summary, details, &self.built.blob).expect_err("broken")
    }

    /// Other details, with a summary that names them and counts their claims.
    fn details(&self, edit: impl FnOnce(&mut ReceiptDetails)) -> ReceiptError {
        let mut details = self.details.clone();
        edit(&mut details);
        let mut summary = self.built.summary.clone();
        let bytes = details.encode();
        summary.shares = details.claims.len() as u32;
        (summary.details_len, summary.details_hash) = (bytes.len() as u32, part_digest(&bytes));
        self.check(&summary, &bytes, &self.built.blob).expect_err("broken")
    }

    fn blob(&self, blob: &[u8]) -> ReceiptError {
        let mut summary = self.built.summary.clone();
        (summary.blob_len, summary.blob_hash) = (blob.len() as u32, part_digest(blob));
        self.check(&summary, &self.built.details, blob).expect_err("broken")
    }
}

#[test]
fn parts_are_those_of_the_summary() {
    let r = Receipt::new();
    let BuiltReceipt { summary, details, blob } = &r.built;
    r.check(summary, details, blob).expect("valid");
    let expected = summary.tokens;
    assert_eq!(r.summary(|s| s.tokens += 1), ReceiptError::Tokens { got: expected + 1, expected });
    let got = details.len();
    assert_eq!(r.summary(|s| s.details_len += 1), ReceiptError::Length { part: "details", got, expected: got + 1 });
    let got = blob.len();
    assert_eq!(r.summary(|s| s.blob_len -= 1), ReceiptError::Length { part: "gradient", got, expected: got - 1 });
    assert!(matches!(r.summary(|s| s.details_hash.0[0] ^= 1), ReceiptError::Digest { part: "details", .. }));
    assert!(matches!(r.summary(|s| s.blob_hash.0[0] ^= 1), ReceiptError::Digest { part: "gradient", .. }));
    // A count goes with its tokens.
    let tokens = summary.tokens / u64::from(summary.count);
    let error = r.summary(|s| (s.count, s.tokens) = (s.count + 1, s.tokens + tokens));
    assert_eq!(error, ReceiptError::Indices { got: summary.count as usize, expected: summary.count + 1 });
    let error = r.summary(|s| s.shares += 1);
    assert_eq!(error, ReceiptError::Claims { got: summary.shares as usize, expected: summary.shares + 1 });
    // Round and lane are bound by the templates, the account by their sealer.
    assert!(matches!(r.summary(|s| s.round += 1), ReceiptError::TemplateParent { position: 0, round: 1, .. }));
    assert!(matches!(r.summary(|s| s.lane += 1), ReceiptError::TemplateMiner { position: 0, .. }));
}

#[test]
fn details_are_bounded_and_canonical() {
    let r = Receipt::new();
    let details = &r.built.details;
    let limit = ReceiptDetails::max_len(r.built.summary.count, r.built.summary.shares);
    assert!(details.len() <= limit);
    assert_eq!(r.bytes(&vec![0; limit + 1]), ReceiptError::TooLong { got: limit + 1, limit });
    assert_eq!(r.bytes(&vec![0xff; limit]), ReceiptError::Malformed { got: limit });
    let got = details.len();
    assert_eq!(r.bytes(&details[..got - 1]), ReceiptError::Malformed { got: got - 1 });
    assert_eq!(r.bytes(&[&details[..], &[0]].concat()), ReceiptError::Malformed { got: got + 1 });
}

#[test]
fn claims_are_strictly_ascending_and_bounded() {
    let r = Receipt::new();
    let count = r.built.summary.count;
    assert_eq!(r.details(|d| d.claims.swap(0, 1)), ReceiptError::ClaimOrder { position: 1 });
    assert_eq!(r.details(|d| d.claims[1] = d.claims[0]), ReceiptError::ClaimOrder { position: 1 });
    let got = count as u16;
    let error = r.details(|d| d.claims.last_mut().expect("has claims").offset = got);
    assert_eq!(error, ReceiptError::ClaimOffset { got, limit: count });
    let missing = TileId { layer: 999, op: 0, row: 0, col: 0 };
    let error = r.details(|d| d.claims = vec![ShareClaim { offset: 0, tile: missing }]);
    assert_eq!(error, ReceiptError::Tile(TileError::NoSuchProduct { layer: 999, op: 0 }));
    let outside = TileId { layer: 0, op: 0, row: 4, col: 0 };
    let error = r.details(|d| d.claims = vec![ShareClaim { offset: 0, tile: outside }]);
    assert!(matches!(error, ReceiptError::Tile(TileError::Outside { row: 4, .. })));
    // 33 tiles that exist.
    let tiles = (0..9).flat_map(|layer| (0..4).map(move |row| TileId { layer, op: 0, row, col: 0 }));
    let claims: Vec<_> = tiles.take(33).map(|tile| ShareClaim { offset: 0, tile }).collect();
    let error = r.details(|d| d.claims = claims.clone());
    assert_eq!(error, ReceiptError::ClaimsOfIndex { offset: 0, limit: 32 });
    let mut most = claims[..32].to_vec();
    most.extend((1..got).map(|offset| ShareClaim { offset, ..claims[0] }));
    let error = r.details(|d| (d.claims = most.clone(), d.templates.clear()).1);
    assert_eq!(error, ReceiptError::Templates { got: 0, limit: MAX_TEMPLATES });
}

#[test]
fn every_index_has_a_claim() {
    let r = Receipt::new();
    let count = r.built.summary.count;
    assert!(count > 1);
    for offset in 0..count {
        let error = r.details(|d| d.claims.retain(|c| u32::from(c.offset) != offset));
        assert_eq!(error, ReceiptError::IndexWithoutClaim { offset });
    }
    assert_eq!(r.details(|d| d.claims.clear()), ReceiptError::IndexWithoutClaim { offset: 0 });
}

#[test]
fn templates_are_the_miners_own_headers_of_the_round() {
    let r = Receipt::new();
    assert_eq!(r.details(|d| d.templates.clear()), ReceiptError::Templates { got: 0, limit: MAX_TEMPLATES });
    let got = MAX_TEMPLATES + 1;
    // A header here takes less than its allowance, so that one too many still fits the length.
    let error = r.details(|d| d.templates.resize(got, d.templates[0].clone()));
    assert_eq!(error, ReceiptError::Templates { got, limit: MAX_TEMPLATES });
    assert_eq!(r.details(|d| d.indices[1].template = 2), ReceiptError::TemplateIndex { got: 2, limit: 2 });
    let source = HeaderError::ItemCount { got: 0 };
    assert_eq!(r.details(|d| d.templates[1].digest.logs.clear()), ReceiptError::TemplateHeader { position: 1, source });
    let sealed =
        |d: &mut ReceiptDetails| d.templates[1] = with_seal(d.templates[1].clone(), Vec::new()).expect("no seal yet");
    assert_eq!(r.details(sealed), ReceiptError::TemplateSealed { position: 1 });
    let other = |d: &mut ReceiptDetails| edit_pre(&mut d.templates[1], |pre| pre.sealer = account("Mallory"));
    assert!(
        matches!(r.details(other), ReceiptError::TemplateMiner { position: 1, got_account, .. } if *got_account == account("Mallory"))
    );
    let other = |d: &mut ReceiptDetails| edit_pre(&mut d.templates[1], |pre| pre.lane = 8);
    assert!(matches!(r.details(other), ReceiptError::TemplateMiner { position: 1, got_lane: 8, lane: 7, .. }));
    let parent = H256::repeat_byte(5);
    let error = r.details(|d| d.templates[1].parent_hash = parent);
    assert_eq!(error, ReceiptError::TemplateParent { position: 1, parent, round: 0 });
    let error = r.details(|d| d.templates[1].number += 1);
    assert_eq!(error, ReceiptError::TemplateNumber { position: 1, got: 3, expected: 2 });
}

#[test]
fn leaves_sum_to_gradient() {
    let r = Receipt::new();
    let blob_of = |g: &[i16]| {
        let lengths: Vec<usize> = ModelConfig::TINY.tensors().iter().map(|t| t.len()).collect();
        gradient_codec::encode(&lengths, g)
    };
    let checked = r.check(&r.built.summary, &r.built.details, &r.built.blob).expect("valid");
    let mut gradient = checked.gradient;
    for at in [0, gradient.len() - 1] {
        let value = gradient[at];
        gradient[at] = if value > 0 { value - 1 } else { value + 1 };
        assert!(matches!(r.blob(&blob_of(&gradient)), ReceiptError::Sum { .. }));
        gradient[at] = value;
    }
    assert!(matches!(r.details(|d| d.indices[0].leaf = d.indices[1].leaf), ReceiptError::Sum { .. }));
    let error = r.details(|d| d.indices[1].leaf[..4].fill(0xff));
    assert!(
        matches!(
            error,
            ReceiptError::Leaf {
                offset: 1,
                source: LatticeError::FirstResidue { .. } | LatticeError::SecondResidue { .. }
            }
        ),
        "{error}"
    );
    let error = r.blob(&[&r.built.blob[..], &[0]].concat());
    assert!(matches!(error, ReceiptError::Gradient(GradientCodecError::TrailingBytes { .. })));
    let error = r.blob(&r.built.blob[1..]);
    assert!(matches!(error, ReceiptError::Gradient(_)), "{error}");
    // More than so many leaves can add up to.
    gradient[0] = 31 * r.built.summary.count as i16 + 1;
    assert!(matches!(r.blob(&blob_of(&gradient)), ReceiptError::Gradient(GradientCodecError::ValueOutOfRange { .. })));
}

#[test]
fn losses_are_left_to_the_samples() {
    let r = Receipt::new();
    let mut details = r.details.clone();
    let record: &mut IndexRecord = &mut details.indices[0];
    record.loss += 1;
    let bytes = details.encode();
    let mut summary = r.built.summary.clone();
    (summary.details_len, summary.details_hash) = (bytes.len() as u32, part_digest(&bytes));
    r.check(&summary, &bytes, &r.built.blob).expect("nothing that inclusion can see");
}
