//! A small shop's traffic: the first thing a new user sees.
//!
//! Most requests are fast; now and then one is slow or fails, each for a reason of its own (see
//! `stories`). It begins with some minutes of history, so that the first page is rich at once, and
//! goes on in real time until it is stopped.

mod batcher;
mod calls;
mod everyday;
mod fleet;
mod recorder;
mod shop;
mod stacks;
mod statements;
mod stories;

use std::time::Duration;

use fastrand::Rng;
use longpole_proto::UnixNanos;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::otlp::client::Client;
use crate::protection::{tls, tokens};
use crate::{DemoConfig, ProtectionError};
use batcher::Batchers;
use shop::Shop;

/// The requests of history, and how far back it goes.
const HISTORY_REQUESTS: u32 = 300;
const HISTORY: Duration = Duration::from_mins(15);

/// How often what is due is made and sent.
const TICK: Duration = Duration::from_millis(200);

/// Beside a server the shop gets this many requests a second.
const REQUESTS_PER_SECOND: f64 = 5.0;

/// Sends the shop's traffic to `config.endpoint` for as long as it says, or until `stop`.
///
/// # Errors
/// When the token to send, or whom to trust, cannot be read.
pub async fn run(
    config: DemoConfig,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), ProtectionError> {
    let tls = tls::trusting(&config.endpoint, config.tls_ca.as_deref())?;
    let mut client = Client::trusting(config.endpoint.clone(), tls);
    if let Some(path) = &config.token_file {
        client = client.with_authorization(tokens::authorization(path)?);
    }
    info!(endpoint = %config.endpoint, "sending a small shop's traffic; Ctrl-C stops it");
    let traffic = Traffic {
        client,
        clock,
        requests_per_second: config.requests_per_second,
    };
    let until = config
        .duration
        .and_then(|duration| Instant::now().checked_add(duration));
    let sent = traffic.send(Rng::new(), until);
    if stop.run_until_cancelled(sent).await.is_some() {
        info!("all sent");
    }
    Ok(())
}

/// Sends the shop's traffic to the server's own receiver until `stop`.
pub(crate) async fn beside_server(client: Client, clock: Clock, stop: CancellationToken) {
    let traffic = Traffic {
        client,
        clock,
        requests_per_second: REQUESTS_PER_SECOND,
    };
    stop.run_until_cancelled(traffic.send(Rng::new(), None))
        .await;
}

struct Traffic {
    client: Client,
    clock: Clock,
    requests_per_second: f64,
}

impl Traffic {
    /// Sends history, then real time until `until`, then what is left.
    async fn send(&self, rng: Rng, until: Option<Instant>) {
        let begun = (self.clock)();
        let mut shop = Shop::new(rng);
        let mut batchers = Batchers::new(shop.fleet().clone(), begun);
        for spans in history(&mut shop, begun) {
            batchers.push(spans);
        }
        self.export(batchers.flush(begun)).await;

        let mut arrivals = Arrivals {
            next: begun,
            mean_nanos: 1e9 / self.requests_per_second,
        };
        let mut ticks = tokio::time::interval(TICK);
        // After a pause the shop has as many visitors as before, not all who would have come.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while until.is_none_or(|until| Instant::now() < until) {
            ticks.tick().await;
            let now = (self.clock)();
            arrivals.skip_to(now.minus(TICK * 2));
            while let Some(start) = arrivals.next_by(now, shop.rng()) {
                batchers.push(shop.next(start));
            }
            self.export(batchers.due(now)).await;
        }
        self.export(batchers.flush(UnixNanos(u64::MAX))).await;
    }

    /// Sends as separate processes do: each request for itself.
    async fn export(&self, requests: Vec<ExportTraceServiceRequest>) {
        let sends = requests
            .into_iter()
            .map(|request| self.client.export(request));
        for outcome in futures_util::future::join_all(sends).await {
            match outcome {
                Ok(None) => {}
                Ok(Some(partial)) => warn!(
                    n_spans = partial.rejected_spans,
                    reason = partial.error_message,
                    "spans of the demo were refused"
                ),
                // As an SDK does: what cannot be delivered in several tries is dropped.
                Err(status) => warn!(
                    code = %status.code(),
                    reason = status.message(),
                    "spans of the demo could not be sent"
                ),
            }
        }
    }
}

/// The requests of the time before `now`, evenly spread but for chance.
fn history(shop: &mut Shop, now: UnixNanos) -> impl Iterator<Item = Vec<recorder::Recorded>> {
    let spacing =
        u64::try_from(HISTORY.as_nanos()).unwrap_or(u64::MAX) / u64::from(HISTORY_REQUESTS);
    let begun = now.minus(HISTORY);
    (0..u64::from(HISTORY_REQUESTS)).map(move |n| {
        let start = begun.plus_nanos(n * spacing + shop.rng().u64(..spacing));
        shop.next(start)
    })
}

/// When requests come: at random, so many a second on average.
struct Arrivals {
    next: UnixNanos,
    mean_nanos: f64,
}

impl Arrivals {
    /// Forgets whom nobody served before `time`.
    fn skip_to(&mut self, time: UnixNanos) {
        self.next = self.next.max(time);
    }

    /// The next arrival, when it is no later than `now`.
    fn next_by(&mut self, now: UnixNanos, rng: &mut Rng) -> Option<UnixNanos> {
        let arrival = self.next;
        (arrival <= now).then(|| {
            // Exponential gaps make a Poisson process; f64() is below 1, so ln() is finite.
            let gap = -(1.0 - rng.f64()).ln() * self.mean_nanos;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "casts saturate; no gap is negative"
            )]
            let gap = gap as u64;
            self.next = arrival.plus_nanos(gap.max(1));
            arrival
        })
    }
}

#[cfg(test)]
mod tests;
