//! `descent_*`: the training of the model.

use std::sync::Arc;

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::backend::Backend;
use crate::error::invalid_params;
use crate::types::{CheckpointInfo, NetworkState, RoundSummary, TrainingStatus};

/// Most rounds that one `descent_rounds` call may span.
pub const MAX_ROUNDS: u32 = 1000;

/// Methods about training, on the best chain.
#[rpc(server, namespace = "descent")]
pub trait DescentApi {
    /// Where training stands.
    #[method(name = "trainingStatus", blocking)]
    fn training_status(&self) -> RpcResult<TrainingStatus>;

    /// The rounds `from..=to` that exist, ascending; at most [`MAX_ROUNDS`] per call.
    #[method(name = "rounds", blocking)]
    fn rounds(&self, from: u32, to: u32) -> RpcResult<Vec<RoundSummary>>;

    /// The checkpoint that a round started from; null for a round that has not started.
    #[method(name = "checkpoint", blocking)]
    fn checkpoint(&self, round: u32) -> RpcResult<Option<CheckpointInfo>>;

    /// Peers, candidates, bans.
    #[method(name = "networkState")]
    fn network_state(&self) -> RpcResult<NetworkState>;
}

/// [`DescentApiServer`] over a backend.
pub struct Descent<B>(pub Arc<B>);

impl<B: Backend> DescentApiServer for Descent<B> {
    fn training_status(&self) -> RpcResult<TrainingStatus> {
        Ok(self.0.training_status()?)
    }

    fn rounds(&self, from: u32, to: u32) -> RpcResult<Vec<RoundSummary>> {
        let Some(difference) = to.checked_sub(from) else {
            return Err(invalid_params(format!(
                "last round comes before the first: got {to}, expected at least {from}"
            )));
        };
        if difference >= MAX_ROUNDS {
            return Err(invalid_params(format!(
                "too many rounds: got {}, expected at most {MAX_ROUNDS}",
                u64::from(difference) + 1
            )));
        }
        Ok(self.0.rounds(from, to)?)
    }

    fn checkpoint(&self, round: u32) -> RpcResult<Option<CheckpointInfo>> {
        Ok(self.0.checkpoint(round)?)
    }

    fn network_state(&self) -> RpcResult<NetworkState> {
        Ok(self.0.network_state())
    }
}
