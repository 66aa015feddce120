//! The runtime's version, part of what every extrinsic signs.

use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Name of the chain's rules; wallets that know other chains must not know this one.
pub const SPEC_NAME: &str = "descent";
/// Name of this implementation of the rules.
pub const IMPL_NAME: &str = "descent-node";
/// Version of the rules.
pub const SPEC_VERSION: u32 = 1;
/// Version of the extrinsic format.
pub const TRANSACTION_VERSION: u32 = 1;
/// Version of the implementation.
pub const IMPL_VERSION: u32 = 1;
/// Version of the block authoring interface.
pub const AUTHORING_VERSION: u32 = 1;

/// The version as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// See [`SPEC_NAME`].
    pub spec_name: &'static str,
    /// See [`IMPL_NAME`].
    pub impl_name: &'static str,
    /// See [`AUTHORING_VERSION`].
    pub authoring_version: u32,
    /// See [`SPEC_VERSION`].
    pub spec_version: u32,
    /// See [`IMPL_VERSION`].
    pub impl_version: u32,
    /// See [`TRANSACTION_VERSION`].
    pub transaction_version: u32,
}

/// The version this crate implements.
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: SPEC_NAME,
    impl_name: IMPL_NAME,
    authoring_version: AUTHORING_VERSION,
    spec_version: SPEC_VERSION,
    impl_version: IMPL_VERSION,
    transaction_version: TRANSACTION_VERSION,
};

/// What `:code` holds. The rules are native, so this is only a tag: clients look the key up, and
/// a change of its value tells them that the rules changed.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub struct CodeTag {
    /// Always `b"descent\0"`.
    pub magic: [u8; 8],
    /// Version of the rules.
    pub spec_version: u32,
    /// Version of the extrinsic format.
    pub transaction_version: u32,
}

impl CodeTag {
    /// The tag of [`VERSION`].
    pub fn current() -> Self {
        Self { magic: *b"descent\0", spec_version: SPEC_VERSION, transaction_version: TRANSACTION_VERSION }
    }
}
