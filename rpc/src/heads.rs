//! Head subscriptions: the current head first, then each new one.

use std::sync::Arc;

use descent_runtime::Header;
use jsonrpsee::core::to_json_raw_value;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionSink};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::backend::{Backend, HeadKind};
use crate::error::internal;

/// Serves one subscription until the client leaves or the node stops.
///
/// A client that reads more slowly than heads arrive finds the channel overrun; it is then sent
/// the newest head and has missed those between, which it can fetch by parent hash. So a stalled
/// client costs no memory beyond the channel and the connection's message buffer.
pub(crate) async fn serve_heads<B: Backend>(backend: Arc<B>, kind: HeadKind, pending: PendingSubscriptionSink) {
    // Subscribing before reading the current head: a head between the two must not be missed.
    let mut heads = backend.subscribe_heads(kind);
    let current = match tokio::task::spawn_blocking(move || current_head(&*backend, kind)).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => return pending.reject(error).await,
        Err(error) => return pending.reject(internal(format!("reading the head: {error}"))).await,
    };
    // An error means that the client has left.
    let Ok(sink) = pending.accept().await else { return };

    let mut last = newest_waiting(&mut heads).unwrap_or(current);
    if !send(&sink, &last).await {
        return;
    }
    loop {
        let received = tokio::select! {
            () = sink.closed() => return,
            received = heads.recv() => received,
        };
        let head = match received {
            Ok(head) => head,
            Err(RecvError::Lagged(_)) => match newest_waiting(&mut heads) {
                Some(head) => head,
                None => continue,
            },
            Err(RecvError::Closed) => return,
        };
        // The current head may have been announced after it was read above.
        if head == last {
            continue;
        }
        if !send(&sink, &head).await {
            return;
        }
        last = head;
    }
}

/// The head that a new subscriber is told first.
fn current_head<B: Backend>(backend: &B, kind: HeadKind) -> Result<Header, ErrorObjectOwned> {
    let hash = match kind {
        HeadKind::Best | HeadKind::All => backend.best_hash()?,
        HeadKind::Finalized => backend.finalized_hash()?,
    };
    backend.header(hash)?.ok_or_else(|| internal(format!("head {hash:?} has no header")))
}

/// Empties the channel and returns what was sent last.
fn newest_waiting(heads: &mut Receiver<Header>) -> Option<Header> {
    let mut newest = None;
    loop {
        match heads.try_recv() {
            Ok(head) => newest = Some(head),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return newest,
        }
    }
}

/// Waits for room in the connection's buffer; false once the client has left.
async fn send(sink: &SubscriptionSink, head: &Header) -> bool {
    // A header is plain data, so encoding it does not fail; if it did, ending is right.
    let Ok(message) = to_json_raw_value(head) else {
        return false;
    };
    sink.send(message).await.is_ok()
}
