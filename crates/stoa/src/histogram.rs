//! A latency histogram that threads add to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes, microseconds.
const BOUNDS: [u64; 13] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    classes: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(class) = self
            .classes
            .get(BOUNDS.partition_point(|bound| *bound < time))
        {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.microseconds.fetch_add(time, Ordering::Relaxed);
    }

    /// All of them together: sum in seconds, number, and number in each class with its upper bound in seconds.
    pub(crate) fn read<'a>(
        histograms: impl Iterator<Item = &'a Self>,
    ) -> (f64, u64, Vec<(f64, u64)>) {
        let all = Self::default();
        for histogram in histograms {
            for (sum, class) in all.classes.iter().zip(&histogram.classes) {
                sum.fetch_add(class.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            all.microseconds.fetch_add(
                histogram.microseconds.load(Ordering::Relaxed),
                Ordering::Relaxed,
            );
        }
        read(&BOUNDS, &all.classes, &all.microseconds)
    }
}

/// As [`Histogram::read`], for classes with other bounds.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 microseconds are 285 years"
)]
pub(crate) fn read(
    bounds: &[u64],
    classes: &[AtomicU64],
    microseconds: &AtomicU64,
) -> (f64, u64, Vec<(f64, u64)>) {
    let bounds = bounds
        .iter()
        .map(|bound| *bound as f64 / 1e6)
        .chain([f64::MAX]);
    let counts = classes.iter().map(|class| class.load(Ordering::Relaxed));
    let classes: Vec<_> = bounds.zip(counts).collect();
    let count = classes.iter().map(|(_, count)| count).sum();
    (
        microseconds.load(Ordering::Relaxed) as f64 / 1e6,
        count,
        classes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let histogram = Histogram::default();
        for microseconds in [1, 50, 51, 20_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let (sum, count, classes) = Histogram::read([&histogram].into_iter());
        assert!((sum - 20.000_102).abs() < 1e-9);
        assert_eq!(count, 4);
        assert_eq!(classes[0].1, 2);
        assert_eq!(classes[1].1, 1);
        assert_eq!(classes[13].1, 1);
    }
}
