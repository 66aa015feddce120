//! Error codes on the wire, and why a server does not start.

use std::net::SocketAddr;

use jsonrpsee::server::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE};

use crate::backend::{BackendError, SubmitError};
use crate::config::RpcConfigError;

/// The submitted bytes are no extrinsic.
pub const BAD_FORMAT: i32 = 1001;
/// The submitted extrinsic is invalid.
pub const POOL_INVALID: i32 = 1010;
/// The submitted extrinsic is banned for a while.
pub const POOL_BANNED: i32 = 1012;
/// The submitted extrinsic is in the pool already.
pub const POOL_ALREADY_IMPORTED: i32 = 1013;
/// The submitted extrinsic does not pay enough to replace another.
pub const POOL_PRIORITY_TOO_LOW: i32 = 1014;
/// The pool is full.
pub const POOL_IMMEDIATELY_DROPPED: i32 = 1016;
/// More items were asked for than one answer may hold.
pub const STATE_INVALID_COUNT: i32 = 4002;
/// State is not available at that block.
pub const STATE_CLIENT: i32 = 4003;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcStartError {
    /// The configuration contradicts itself.
    #[error("rpc configuration: {0}")]
    Config(#[from] RpcConfigError),
    /// The socket could not be opened.
    #[error("cannot listen for rpc on {address}: {source}")]
    Bind {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Two method groups claim one name.
    #[error("rpc methods: {0}")]
    Methods(#[from] RegisterMethodError),
}

/// The texts of state errors are Substrate's: archive-aware clients search them.
impl From<BackendError> for ErrorObjectOwned {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::UnknownBlock(hash) => error_object(
                STATE_CLIENT,
                format!("Client error: UnknownBlock: Header was not found in the database: {hash:?}"),
            ),
            BackendError::StateDiscarded(hash) => {
                error_object(STATE_CLIENT, format!("Client error: UnknownBlock: State already discarded for {hash:?}"))
            }
            BackendError::Database { .. } => internal(error.to_string()),
        }
    }
}

/// The messages are Substrate's: clients show `data`, and some match on `message`.
impl From<SubmitError> for ErrorObjectOwned {
    fn from(error: SubmitError) -> Self {
        let with_data = |code, message: String, data: String| Self::owned(code, message, Some(data));
        match error {
            SubmitError::BadFormat { reason } => {
                error_object(BAD_FORMAT, format!("Extrinsic has invalid format: {reason}"))
            }
            SubmitError::Invalid { reason } => with_data(POOL_INVALID, "Invalid Transaction".into(), reason),
            SubmitError::TemporarilyBanned => error_object(POOL_BANNED, "Transaction is temporarily banned".into()),
            SubmitError::AlreadyImported { hash } => {
                with_data(POOL_ALREADY_IMPORTED, "Transaction Already Imported".into(), format!("[{hash:?}]"))
            }
            SubmitError::PriorityTooLow { existing, got } => with_data(
                POOL_PRIORITY_TOO_LOW,
                format!("Priority is too low: ({existing} vs {got})"),
                "The transaction has too low priority to replace another transaction already in \
                 the pool."
                    .into(),
            ),
            SubmitError::PoolFull => with_data(
                POOL_IMMEDIATELY_DROPPED,
                "Immediately Dropped".into(),
                "The transaction couldn't enter the pool because of the limit".into(),
            ),
            SubmitError::Backend(error) => error.into(),
        }
    }
}

/// The request's parameters are well-formed but out of range.
pub(crate) fn invalid_params(message: String) -> ErrorObjectOwned {
    error_object(INVALID_PARAMS_CODE, message)
}

/// A fault of this node.
pub(crate) fn internal(message: String) -> ErrorObjectOwned {
    error_object(INTERNAL_ERROR_CODE, message)
}

/// An error without data.
pub(crate) fn error_object(code: i32, message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}
