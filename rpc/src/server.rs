//! The server: all methods behind one socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::RpcModule;
use jsonrpsee::server::middleware::http::HostFilterLayer;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, RandomStringIdProvider, RegisterMethodError, ServerBuilder, ServerConfig,
    ServerHandle,
};
use serde_json::json;
use tower::ServiceBuilder;

use crate::author::{Author, AuthorApiServer};
use crate::backend::Backend;
use crate::chain::{Chain, ChainApiServer};
use crate::config::RpcConfig;
use crate::descent::{Descent, DescentApiServer};
use crate::error::RpcStartError;
use crate::origin::{AllowedOrigins, OriginLayer};
use crate::state::{State, StateApiServer};
use crate::system::{System, SystemApiServer};

/// Length of subscription ids, in characters.
const SUBSCRIPTION_ID_LENGTH: usize = 16;

/// How often an idle WebSocket client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Host names that mean this machine.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost:*", "127.0.0.1:*", "[::1]:*"];

/// A running server; dropping it stops the server.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl RpcServer {
    /// Address that the server listens on, with the real port when port 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting calls, finishes those in progress and closes all connections.
    pub async fn stop(self) {
        // An error means that the server has stopped already.
        if self.handle.stop().is_ok() {
            self.handle.stopped().await;
        }
    }
}

/// Starts to serve HTTP and WebSocket on one address, on the current tokio runtime.
///
/// # Errors
///
/// The configuration is invalid or the address cannot be listened on.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn start_server<B: Backend>(
    address: SocketAddr,
    config: RpcConfig,
    backend: Arc<B>,
) -> Result<RpcServer, RpcStartError> {
    config.validate()?;
    let methods = rpc_module(backend)?;
    let middleware = ServiceBuilder::new()
        .layer(host_filter(address, &config.allowed_origins))
        .layer(OriginLayer(Arc::new(config.allowed_origins.clone())));
    let bind_error = |source| RpcStartError::Bind { address, source };
    let server = ServerBuilder::with_config(server_config(&config))
        .set_http_middleware(middleware)
        .build(address)
        .await
        .map_err(bind_error)?;
    let address = server.local_addr().map_err(bind_error)?;
    Ok(RpcServer { address, handle: server.start(methods) })
}

/// All methods over a backend, with `rpc_methods` listing every name and alias.
///
/// # Errors
///
/// Two method groups claim one name.
pub fn rpc_module<B: Backend>(backend: Arc<B>) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut module = RpcModule::new(());
    module.merge(System(backend.clone()).into_rpc())?;
    module.merge(Chain(backend.clone()).into_rpc())?;
    module.merge(State(backend.clone()).into_rpc())?;
    module.merge(Author(backend.clone()).into_rpc())?;
    module.merge(Descent(backend).into_rpc())?;

    // Clients drop methods that are missing here, so the list is read off what is registered.
    let mut names: Vec<&'static str> = module.method_names().collect();
    names.push("rpc_methods");
    names.sort_unstable();
    module.register_method("rpc_methods", move |_, _, _| json!({ "methods": names }))?;
    Ok(module)
}

fn server_config(config: &RpcConfig) -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(config.max_request_bytes)
        .max_response_body_size(config.max_response_bytes)
        .set_batch_request_config(BatchRequestConfig::Limit(config.max_batch_requests))
        .max_connections(config.max_connections)
        .max_subscriptions_per_connection(config.max_subscriptions_per_connection)
        .set_message_buffer_capacity(config.message_buffer)
        // Clients expect subscription ids to be strings.
        .set_id_provider(RandomStringIdProvider::new(SUBSCRIPTION_ID_LENGTH))
        // Vanished clients would otherwise keep their connection's place for ever.
        .enable_ws_ping(
            PingConfig::new().ping_interval(PING_INTERVAL).inactive_limit(2 * PING_INTERVAL).max_failures(3),
        )
        .build()
}

/// A page can point a name of its own at 127.0.0.1 and so become "the same origin" as the node: on
/// a loopback address only the names of this machine are answered.
fn host_filter(address: SocketAddr, origins: &AllowedOrigins) -> HostFilterLayer {
    if address.ip().is_loopback() && *origins != AllowedOrigins::Any {
        HostFilterLayer::new(LOOPBACK_HOSTS).expect("the names of this machine are valid hosts")
    } else {
        HostFilterLayer::disable()
    }
}
