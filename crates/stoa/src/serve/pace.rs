//! How fast a server answers, over the last seconds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::metrics::Metrics;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);
/// Samples kept: so many seconds are told of.
const SAMPLES: usize = 10;

/// What was counted at a moment.
struct Sample {
    at: Instant,
    /// Requests by the longest time in seconds of their class.
    classes: Vec<(f64, u64)>,
}

/// The last samples.
pub(crate) struct Pace {
    metrics: Arc<Metrics>,
    samples: Mutex<VecDeque<Sample>>,
}

impl Pace {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            samples: Mutex::default(),
        })
    }

    /// Takes samples, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let sample = self.sample();
            let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            if samples.len() > SAMPLES {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            at: Instant::now(),
            classes: self.metrics.latencies(),
        }
    }

    /// Requests a second, and the time that half of them and 99 of 100 took at most, in milliseconds.
    pub(crate) fn tell(&self) -> Value {
        let now = self.sample();
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples
            .front()
            .map_or(Value::Null, |first| between(first, &now))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody serves 2^53 requests in seconds"
)]
fn between(first: &Sample, last: &Sample) -> Value {
    let counts: Vec<(f64, u64)> = first
        .classes
        .iter()
        .zip(&last.classes)
        .map(|((_, before), (bound, after))| (*bound, after.saturating_sub(*before)))
        .collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let seconds = last.at.duration_since(first.at).as_secs_f64().max(0.001);
    let within = |share: f64| {
        let mut sum = 0;
        counts.iter().find_map(|(bound, count)| {
            sum += count;
            (all > 0 && sum as f64 >= share * all as f64).then_some(bound * 1000.0)
        })
    };
    json!({
        "seconds": seconds.round(),
        "requests_per_second": (all as f64 / seconds * 10.0).round() / 10.0,
        "p50_milliseconds": within(0.5),
        "p99_milliseconds": within(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_samples_counts() {
        let start = Instant::now();
        let first = Sample {
            at: start,
            classes: vec![(0.001, 1000), (0.01, 5), (0.1, 0)],
        };
        let last = Sample {
            at: start + Duration::from_secs(10),
            classes: vec![(0.001, 1090), (0.01, 13), (0.1, 2)],
        };
        assert_eq!(
            between(&first, &last),
            json!({
                "seconds": 10.0,
                "requests_per_second": 10.0,
                "p50_milliseconds": 1.0,
                "p99_milliseconds": 100.0,
            })
        );
        assert_eq!(between(&last, &last)["p50_milliseconds"], Value::Null);
    }
}
