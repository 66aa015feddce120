//! The live line of a running node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus_upow::view::{ChainView, HeaderView, target_of_next};
use descent_runtime::types::{TOKEN_DECIMALS, TOKEN_SYMBOL};
use descent_runtime::{AccountId, storage};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::chain::Chain;
use crate::held_out::HeldOut;
use crate::miner::MinerStats;
use crate::network::shared::Shared;

/// How often the line is logged where there is no terminal to redraw it on.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Height, round, loss, speed, expected time to a block, balance.
pub(super) struct StatusLine {
    chain: Arc<Chain>,
    stats: Option<Arc<MinerStats>>,
    held_out: Arc<HeldOut>,
    account: Option<AccountId>,
    peers: Option<Arc<Shared>>,
    bar: ProgressBar,
    logged: std::sync::Mutex<Option<Instant>>,
}

impl StatusLine {
    pub(super) fn new(
        chain: Arc<Chain>,
        stats: Option<Arc<MinerStats>>,
        held_out: Arc<HeldOut>,
        account: Option<AccountId>,
        peers: Option<Arc<Shared>>,
    ) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { chain, stats, held_out, account, peers, bar, logged: std::sync::Mutex::new(None) }
    }

    /// Draws the line, or logs it now and then where nothing can be redrawn.
    pub(super) fn draw(&self) {
        let Some(text) = self.text() else { return };
        if !self.bar.is_hidden() {
            self.bar.set_message(text);
            self.bar.tick();
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::info!("{text}");
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Progress while the node catches up.
    fn progress(&self) -> Option<String> {
        let peers = self.peers.as_ref().filter(|peers| peers.is_far_behind())?;
        let (figures, speed) = (peers.figures(), peers.blocks_per_second());
        let target = figures.target?;
        let mut text = format!("syncing block {} of {target} · {speed:.1} blocks/s", figures.best);
        if speed > 0.0 {
            let seconds = (f64::from(target.saturating_sub(figures.best)) / speed) as u64;
            text += &format!(" · {} left", HumanDuration(Duration::from_secs(seconds)));
        }
        text += &format!(" · {} peers", figures.peers.len());
        Some(text)
    }

    /// The line; nothing while the store is busy moving its head.
    fn text(&self) -> Option<String> {
        if let Some(progress) = self.progress() {
            return Some(progress);
        }
        let view = self.chain.view(self.chain.best().ok()?.hash).ok()?;
        let state = view.state();
        let round = storage::CURRENT_ROUND.get(state).ok()?;
        let info = storage::ROUNDS.get(state, &round).ok()??;
        let mut text = format!("block {} · round {round}", view.parent().number);
        if info.tokens > 0 {
            text += &format!(" · loss {:.3}", consensus_upow::loss_from_fixed(info.loss));
        }
        if let Some((_, loss)) = self.held_out.latest() {
            text += &format!(" · held-out {loss:.3}");
        }
        if let Some(stats) = &self.stats {
            let model = self.chain.engine().task().model();
            let rate = stats.microbatches_per_second();
            let macs = rate * model.microbatch_macs() as f64;
            text += &format!(" · {} tokens/s · {}MAC/s", si(rate * model.tokens() as f64), si(macs));
            if macs > 0.0 {
                let difficulty = target_of_next(&view).ok()?.difficulty().0 as f64;
                text += &format!(" · block in ~{:.1} s", difficulty / macs);
            }
        }
        if let Some(peers) = &self.peers {
            text += &format!(" · {} peers", peers.lock().peers.len());
        }
        if let Some(account) = &self.account {
            let free = storage::ACCOUNT.get_or_default(state, account).ok()?.data.free;
            text += &format!(" · {} {TOKEN_SYMBOL}", coins(free));
        }
        Some(text)
    }
}

/// A number with an SI prefix.
pub(super) fn si(value: f64) -> String {
    for (factor, prefix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= factor {
            return format!("{:.1} {prefix}", value / factor);
        }
    }
    format!("{value:.0} ")
}

/// An amount in whole coins, three decimals.
fn coins(amount: u128) -> String {
    let unit = 10_u128.pow(TOKEN_DECIMALS);
    format!("{}.{:03}", amount / unit, amount % unit / (unit / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([si(5.0), si(1234.0), si(2.5e10)], ["5 ", "1.2 k", "25.0 G"]);
        assert_eq!(coins(1_234_567_890_123), "1.234");
    }
}
