//! Limits of the RPC server.

use crate::origin::AllowedOrigins;

/// Limits of the RPC server. The defaults suit a node that serves its operator and a few wallets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Largest request, in bytes; a batch counts as one.
    pub max_request_bytes: u32,
    /// Largest response, in bytes; a batch's responses count as one.
    pub max_response_bytes: u32,
    /// Most requests in a batch.
    pub max_batch_requests: u32,
    /// Most connections at a time, HTTP and WebSocket together.
    pub max_connections: u32,
    /// Most subscriptions at a time on one connection.
    pub max_subscriptions_per_connection: u32,
    /// Messages that one connection may leave unread before its subscriptions wait.
    pub message_buffer: u32,
    /// Web pages that may talk to the node.
    pub allowed_origins: AllowedOrigins,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            max_request_bytes: 15 * 1024 * 1024,
            max_response_bytes: 15 * 1024 * 1024,
            max_batch_requests: 100,
            max_connections: 100,
            max_subscriptions_per_connection: 1024,
            message_buffer: 64,
            allowed_origins: AllowedOrigins::default(),
        }
    }
}

/// Smallest useful limit of a request: a transfer takes about 500 bytes.
pub const MIN_REQUEST_BYTES: u32 = 1024;

/// A limit that the server cannot run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcConfigError {
    /// No client could submit an extrinsic.
    #[error("request limit too small: got {got} bytes, expected at least {MIN_REQUEST_BYTES}")]
    RequestLimit {
        /// The limit.
        got: u32,
    },
    /// A response repeats the id of its request, which may fill the request: without room for it
    /// a subscription could not even be confirmed.
    #[error("response limit below request limit: got {got} bytes, expected at least {request}")]
    ResponseLimit {
        /// The response limit.
        got: u32,
        /// The request limit.
        request: u32,
    },
    /// A batch must be allowed one request.
    #[error("batch limit: got 0, expected at least 1")]
    BatchLimit,
    /// The server must be allowed one connection.
    #[error("connection limit: got 0, expected at least 1")]
    ConnectionLimit,
    /// Responses pass through the buffer.
    #[error("message buffer: got 0, expected at least 1")]
    MessageBuffer,
}

impl RpcConfig {
    /// Checks that a server can run with these limits.
    ///
    /// # Errors
    ///
    /// The first limit that is out of range.
    pub fn validate(&self) -> Result<(), RpcConfigError> {
        if self.max_request_bytes < MIN_REQUEST_BYTES {
            return Err(RpcConfigError::RequestLimit { got: self.max_request_bytes });
        }
        if self.max_response_bytes < self.max_request_bytes {
            return Err(RpcConfigError::ResponseLimit {
                got: self.max_response_bytes,
                request: self.max_request_bytes,
            });
        }
        if self.max_batch_requests == 0 {
            return Err(RpcConfigError::BatchLimit);
        }
        if self.max_connections == 0 {
            return Err(RpcConfigError::ConnectionLimit);
        }
        if self.message_buffer == 0 {
            return Err(RpcConfigError::MessageBuffer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_checked() {
        let check = |change: fn(&mut RpcConfig)| {
            let mut config = RpcConfig::default();
            change(&mut config);
            config.validate()
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|c| c.max_request_bytes = 1023), Err(RpcConfigError::RequestLimit { got: 1023 }));
        assert_eq!(
            check(|c| {
                c.max_request_bytes = 2048;
                c.max_response_bytes = 2047;
            }),
            Err(RpcConfigError::ResponseLimit { got: 2047, request: 2048 })
        );
        assert_eq!(check(|c| c.max_batch_requests = 0), Err(RpcConfigError::BatchLimit));
        assert_eq!(check(|c| c.max_connections = 0), Err(RpcConfigError::ConnectionLimit));
        assert_eq!(check(|c| c.message_buffer = 0), Err(RpcConfigError::MessageBuffer));
        // A node may well serve calls only.
        assert_eq!(check(|c| c.max_subscriptions_per_connection = 0), Ok(()));
    }
}
