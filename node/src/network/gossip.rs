//! Gossip of small things: sealed headers without witness, and transactions.

use std::time::Duration;

use descent_runtime::H256;
use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, Message, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicScoreParams, ValidationMode,
};

use super::NetworkError;
use super::wire::{MAX_HEADER_BYTES, MAX_TRANSACTION_BYTES};

/// Heartbeats, one a second, for which a message waits for its validation: a header is forwarded once its whole block
/// was verified, so that nobody can be blamed for another's lie.
const VALIDATION_HEARTBEATS: usize = 30;
/// Room for gossipsub's own framing.
const ENVELOPE_BYTES: usize = 1 << 10;

/// What is gossiped on a chain.
#[derive(Clone, Debug)]
pub struct Topics {
    /// New best blocks' headers.
    pub headers: IdentTopic,
    /// Transactions.
    pub transactions: IdentTopic,
}

impl Topics {
    /// The topics of the chain with this genesis block.
    pub fn new(genesis: &H256) -> Self {
        let topic = |name: &str| IdentTopic::new(format!("/descent/{}/{name}/1", hex::encode(genesis)));
        Self { headers: topic("headers"), transactions: topic("transactions") }
    }
}

/// A gossip behaviour that forwards nothing before it is told to.
///
/// # Errors
/// [`NetworkError::Gossip`]; a defect of the settings.
pub fn behaviour(topics: &Topics) -> Result<Behaviour, NetworkError> {
    let failed = |reason: &dyn std::fmt::Display| NetworkError::Gossip { reason: reason.to_string() };
    let config = ConfigBuilder::default()
        // Messages are signed by nobody: a header proves itself, a transaction has its own signature.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message: &Message| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(message.topic.as_str().as_bytes()).update(&message.data);
            MessageId::from(hasher.finalize().as_bytes().to_vec())
        })
        .history_length(VALIDATION_HEARTBEATS)
        .duplicate_cache_time(Duration::from_secs(2 * VALIDATION_HEARTBEATS as u64))
        .max_transmit_size(MAX_HEADER_BYTES.max(MAX_TRANSACTION_BYTES) + ENVELOPE_BYTES)
        .build()
        .map_err(|e| failed(&e))?;
    let mut behaviour = Behaviour::new(MessageAuthenticity::Anonymous, config).map_err(|e| failed(&e))?;
    let (params, thresholds) = (score_params(topics), PeerScoreThresholds::default());
    behaviour.with_peer_score(params, thresholds).map_err(|e| failed(&e))?;
    for topic in [&topics.headers, &topics.transactions] {
        behaviour.subscribe(topic).map_err(|e| failed(&e))?;
    }
    Ok(behaviour)
}

/// Scores fall for provably wrong bytes alone. Blocks are rare: who delivered none lately has done nothing wrong, so
/// that the penalties for missing deliveries are off.
fn score_params(topics: &Topics) -> PeerScoreParams {
    let topic = TopicScoreParams {
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [&topics.headers, &topics.transactions].map(|t| (t.hash(), topic.clone())).into(),
        // How many peers share an address is bounded elsewhere; a household may run several.
        ip_colocation_factor_weight: 0.0,
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_differ_between_chains() {
        let [one, two] = [1, 2].map(|byte| Topics::new(&H256::repeat_byte(byte)));
        assert_ne!(one.headers.hash(), two.headers.hash());
        assert_ne!(one.headers.hash(), one.transactions.hash());
    }

    #[tokio::test]
    async fn settings_are_accepted() {
        behaviour(&Topics::new(&H256::zero())).unwrap();
    }
}
