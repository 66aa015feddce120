//! What peers say to each other: requests, responses, announcements, and how long each may be.

use codec::{Compact, Decode, DecodeAll, Encode};
use consensus_upow::seal::MAX_SEAL_BYTES;
use descent_runtime::{H256, Header};
use sp_core::U256;

/// Hashes in a locator at most: powers of two back to genesis of the longest chain there can be, and some more.
pub const MAX_LOCATOR: usize = 64;
/// Headers in one response at most.
pub const MAX_HEADERS: usize = 128;
/// A response with several headers ends behind the one that reaches this length.
pub const HEADERS_BYTES: usize = 1 << 20;
/// Bytes of a request at most.
pub const MAX_REQUEST_BYTES: usize = 8 << 10;
/// Bytes of a header on the wire at most: five fixed fields, two digest items.
pub const MAX_HEADER_BYTES: usize = 256 + MAX_SEAL_BYTES;
/// Bytes of a witness at most: strips of the longest contraction, 4,096, and the lists of the widest product.
pub const MAX_WITNESS_BYTES: usize = 2 * 32 * 4096 + 2 * 4096;
/// Bytes of an extrinsic that travels by gossip at most; longer ones travel in blocks only.
pub const MAX_TRANSACTION_BYTES: usize = 48 << 10;

/// Bytes of a valid extrinsic at least: those of its signature.
const MIN_EXTRINSIC_BYTES: usize = 64;
/// Kinds, lengths and counts around what a response carries, and all of a response that carries next to nothing.
pub const FRAMING_BYTES: usize = 1 << 10;
/// Bytes of a response with headers at most.
pub const MAX_HEADERS_RESPONSE_BYTES: usize = HEADERS_BYTES + MAX_HEADER_BYTES + MAX_WITNESS_BYTES + FRAMING_BYTES;
/// First bytes of responses, in the order of [`Response`]'s variants.
const HEADERS_KIND: u8 = 1;
const WITNESS_KIND: u8 = 2;
const BODY_KIND: u8 = 3;
const PART_KIND: u8 = 4;

/// Name of the family of protocols of a chain: peers of another chain speak none of them.
pub fn protocol(genesis: &H256, name: &str) -> String {
    format!("/descent/{}/{name}/1", hex::encode(genesis))
}

/// Where a node's best chain stands, in its own words: it decides whom to ask, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Status {
    /// Height of the best block.
    pub number: u32,
    /// Its hash.
    pub hash: H256,
    /// Its cumulative work.
    pub work: U256,
    /// Whether the node makes blocks.
    pub mines: bool,
}

/// A request; each has one response of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Tells where the own chain stands and asks the same.
    Status(Status),
    /// Headers that follow the first hash of this list which is on the other's best chain.
    Headers(Vec<H256>),
    /// The witness of a header.
    Witness(H256),
    /// The extrinsics of a block.
    Body(H256),
    /// One group of a receipt's part.
    Part(PartRequest),
}

/// Names one group of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct PartRequest {
    /// Digest of the whole part.
    pub digest: H256,
    /// Length of the whole part, as its receipt claims it: a part of another length is another part, so that a false
    /// claim is answered with nothing instead of bytes that seem to lie.
    pub length: u32,
    /// Which group of it.
    pub group: u32,
}

/// A sealed header with its witness.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProvenHeader {
    /// The header.
    pub header: Header,
    /// The witness of its seal.
    pub witness: Vec<u8>,
}

/// One group of a part, with the hashes of all groups, which add up to the part's digest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartGroup {
    /// Chaining values of all groups, in order.
    pub hashes: Vec<[u8; 32]>,
    /// Bytes of the group asked for.
    pub bytes: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// Where the chain stands.
    Status(Status),
    /// Headers in order, each the child of the one before; none if there is nothing to add.
    Headers(Vec<ProvenHeader>),
    /// A witness.
    Witness(Vec<u8>),
    /// Extrinsics, encoded: decoded once it is known that they were asked for, and how many a block has at most.
    Body(Vec<u8>),
    /// A group.
    Part(PartGroup),
    /// It is not here.
    NotFound,
    /// The requester has used up its budget for now.
    Busy,
}

/// Bytes that break the form of messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than anything of its kind.
    #[error("{what} has {got} bytes, expected at most {limit}")]
    TooLong {
        /// Kind of message.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// Not the one encoding of anything.
    #[error("{what} of {got} bytes does not decode")]
    Malformed {
        /// Kind of message.
        what: &'static str,
        /// Its length.
        got: usize,
    },
    /// More items than a message of its kind has.
    #[error("{what} has {got} items, expected at most {limit}")]
    TooMany {
        /// Kind of message.
        what: &'static str,
        /// Items found.
        got: usize,
        /// The bound.
        limit: usize,
    },
}

impl Request {
    /// Decodes a request.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let request = decode("request", bytes, MAX_REQUEST_BYTES)?;
        match &request {
            Self::Headers(locator) if locator.len() > MAX_LOCATOR => {
                Err(WireError::TooMany { what: "locator", got: locator.len(), limit: MAX_LOCATOR })
            }
            _ => Ok(request),
        }
    }
}

impl Response {
    /// Decodes a response of at most `limit` bytes.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn from_bytes(bytes: &[u8], limit: usize) -> Result<Self, WireError> {
        // Kinds differ a thousandfold in length: none may be as long as the longest.
        match bytes.first() {
            Some(&HEADERS_KIND) => headers(bytes, limit.min(MAX_HEADERS_RESPONSE_BYTES)).map(Self::Headers),
            Some(&WITNESS_KIND) => decode("witness response", bytes, limit.min(MAX_WITNESS_BYTES + FRAMING_BYTES)),
            Some(&(BODY_KIND | PART_KIND)) => decode("response", bytes, limit),
            _ => decode("response", bytes, limit.min(FRAMING_BYTES)),
        }
    }
}

/// Decodes a response of headers, each within its own bound: what is decoded takes far more memory than its bytes.
fn headers(bytes: &[u8], limit: usize) -> Result<Vec<ProvenHeader>, WireError> {
    const WHAT: &str = "headers response";
    let got = bytes.len();
    if got > limit {
        return Err(WireError::TooLong { what: WHAT, got, limit });
    }
    let malformed = |_| WireError::Malformed { what: WHAT, got };
    // Behind the kind.
    let mut rest = bytes.get(1..).unwrap_or_default();
    let count = Compact::<u32>::decode(&mut rest).map_err(malformed)?.0 as usize;
    if count > MAX_HEADERS {
        return Err(WireError::TooMany { what: WHAT, got: count, limit: MAX_HEADERS });
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bounded = &rest[..rest.len().min(MAX_HEADER_BYTES)];
        let before = bounded.len();
        let header = Header::decode(&mut bounded).map_err(malformed)?;
        rest = &rest[before - bounded.len()..];
        let witness = Vec::<u8>::decode(&mut rest).map_err(malformed)?;
        if witness.len() > MAX_WITNESS_BYTES {
            return Err(WireError::TooLong { what: "witness", got: witness.len(), limit: MAX_WITNESS_BYTES });
        }
        headers.push(ProvenHeader { header, witness });
    }
    if rest.is_empty() { Ok(headers) } else { Err(WireError::Malformed { what: WHAT, got }) }
}

/// Decodes a block's extrinsics of at most `limit` bytes without their lengths.
///
/// # Errors
/// [`WireError`].
pub fn extrinsics(bytes: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, WireError> {
    const WHAT: &str = "body";
    let (got, mut rest) = (bytes.len(), bytes);
    let count = Compact::<u32>::decode(&mut rest).map_err(|_| WireError::Malformed { what: WHAT, got })?.0 as usize;
    // Before any is allocated: a signature alone has as many bytes.
    let most = limit / MIN_EXTRINSIC_BYTES;
    if count > most {
        return Err(WireError::TooMany { what: WHAT, got: count, limit: most });
    }
    decode(WHAT, bytes, limit.saturating_mul(2))
}

/// Decodes an announced header.
///
/// # Errors
/// [`WireError`].
pub fn announced_header(bytes: &[u8]) -> Result<Header, WireError> {
    decode("header announcement", bytes, MAX_HEADER_BYTES)
}

fn decode<T: Decode>(what: &'static str, bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { what, got: bytes.len(), limit });
    }
    T::decode_all(&mut &bytes[..]).map_err(|_| WireError::Malformed { what, got: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_one_encoding() {
        let status = Status { number: 7, hash: H256::repeat_byte(1), work: U256::from(99), mines: true };
        let request = Request::Status(status);
        let bytes = request.encode();
        assert_eq!(Request::from_bytes(&bytes), Ok(request));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Request::from_bytes(&longer), Err(WireError::Malformed { what: "request", got: longer.len() }));
        assert!(matches!(Request::from_bytes(&bytes[..5]), Err(WireError::Malformed { .. })));
        assert!(matches!(Request::from_bytes(&[9]), Err(WireError::Malformed { .. })));
    }

    #[test]
    fn headers_are_bounded_one_by_one() {
        let header = Header {
            parent_hash: H256::zero(),
            number: 1,
            state_root: H256::zero(),
            extrinsics_root: H256::zero(),
            digest: Default::default(),
        };
        let response = |header: &Header, witness: usize, count: usize| {
            Response::Headers(vec![ProvenHeader { header: header.clone(), witness: vec![0; witness] }; count]).encode()
        };
        let limit = MAX_HEADERS_RESPONSE_BYTES;
        for count in [0, 1, 3] {
            let bytes = response(&header, 100, count);
            assert_eq!(Response::from_bytes(&bytes, limit).unwrap().encode(), bytes);
            let longer = [&bytes[..], &[0]].concat();
            assert!(matches!(Response::from_bytes(&longer, limit), Err(WireError::Malformed { .. })));
        }
        assert!(matches!(
            Response::from_bytes(&response(&header, 0, MAX_HEADERS + 1), limit),
            Err(WireError::TooMany { .. })
        ));
        let error = Response::from_bytes(&response(&header, MAX_WITNESS_BYTES + 1, 1), limit).unwrap_err();
        assert!(matches!(error, WireError::TooLong { what: "witness", .. }), "{error}");
        let mut long = header;
        long.digest.push(sp_runtime::DigestItem::Other(vec![0; MAX_HEADER_BYTES]));
        assert!(matches!(Response::from_bytes(&response(&long, 0, 1), limit), Err(WireError::Malformed { .. })));
    }

    #[test]
    fn a_body_of_nothing_but_counts_is_refused_before_it_is_decoded() {
        // Two million empty extrinsics, of a byte each.
        let empty = [Compact(2_000_000_u32).encode(), vec![0; 2_000_000]].concat();
        let limit = 1 << 20;
        let most = limit / MIN_EXTRINSIC_BYTES;
        let error = extrinsics(&empty, limit).unwrap_err();
        assert_eq!(error, WireError::TooMany { what: "body", got: 2_000_000, limit: most });
        let honest = vec![vec![7; 100], vec![8; 200]];
        assert_eq!(extrinsics(&honest.encode(), limit), Ok(honest));
    }

    #[test]
    fn lengths_are_checked_before_anything_is_decoded() {
        let long = vec![0; MAX_REQUEST_BYTES + 1];
        let error = Request::from_bytes(&long).unwrap_err();
        assert_eq!(error.to_string(), "request has 8193 bytes, expected at most 8192");
        let locator = Request::Headers(vec![H256::zero(); MAX_LOCATOR + 1]).encode();
        let limit = MAX_LOCATOR;
        assert_eq!(Request::from_bytes(&locator), Err(WireError::TooMany { what: "locator", got: limit + 1, limit }));
        // A response of one kind isn't as long as one of another may be.
        let long = Response::Witness(vec![0; MAX_WITNESS_BYTES + FRAMING_BYTES]).encode();
        let error = Response::from_bytes(&long, 64 << 20).unwrap_err();
        assert!(matches!(error, WireError::TooLong { what: "witness response", .. }), "{error}");
        assert!(matches!(Response::from_bytes(&[5; 2000], 64 << 20), Err(WireError::TooLong { limit: 1024, .. })));
        // A count that promises more than there are bytes.
        let hollow = [&[1][..], &codec::Compact(u32::MAX).encode()].concat();
        assert!(matches!(Response::from_bytes(&hollow, 100), Err(WireError::TooMany { limit: MAX_HEADERS, .. })));
        assert!(matches!(announced_header(&[0; MAX_HEADER_BYTES + 1]), Err(WireError::TooLong { .. })));
        assert!(matches!(announced_header(&[]), Err(WireError::Malformed { .. })));
    }
}
