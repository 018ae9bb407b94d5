//! Metrics: counted with atomics while requests run, written as text when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use http::Request;
use hyper::body::Incoming;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use stoa_store::{Dialect, LATENCY_BOUNDS, Operation, Store};
use stoa_web::server::{Asked, Finished, Observer, Traffic};

use crate::histogram::{self, Histogram};
use crate::route::Route;
use crate::serve;

/// Outcomes of a request, as labelled.
const OUTCOMES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "abandoned"];
const ABANDONED: usize = 5;

type Counter = AtomicU64;

#[derive(Debug, Default)]
struct RouteMetrics {
    outcomes: [Counter; OUTCOMES.len()],
    duration: Histogram,
}

/// What one thread, or a few, count: threads that write to one cache line wait for each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    routes: [RouteMetrics; Route::ALL.len()],
    begun: Counter,
    finished: Counter,
    aborted: Counter,
}

const SHARDS: usize = 8;

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

/// Everything that is measured in one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    shards: [Shard; SHARDS],
    pub(crate) reloads: Counter,
    pub(crate) refused_reloads: Counter,
    pub(crate) traffic: Arc<Traffic>,
    started: SystemTime,
    store: ArcSwapOption<Measured>,
    /// A web server's tier.
    tier: OnceLock<Arc<serve::Measured>>,
}

/// The store, without its connections in `Debug`.
struct Measured(Store);

impl std::fmt::Debug for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Store")
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            shards: Default::default(),
            reloads: Counter::default(),
            refused_reloads: Counter::default(),
            traffic: Arc::default(),
            started: SystemTime::now(),
            store: ArcSwapOption::empty(),
            tier: OnceLock::new(),
        }
    }

    fn shard(&self) -> &Shard {
        SHARD.with(|shard| &self.shards[*shard])
    }

    /// The sum over all threads.
    fn sum(&self, of: impl Fn(&Shard) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| value(of(shard))).sum()
    }

    /// Requests by the longest time in seconds of their class.
    pub(crate) fn latencies(&self) -> Vec<(f64, u64)> {
        let routes = self.shards.iter().flat_map(|shard| &shard.routes);
        Histogram::read(routes.map(|route| &route.duration)).2
    }

    /// Tells of this tier from now on; the first one stays.
    pub(crate) fn watch_tier(&self, tier: Arc<serve::Measured>) {
        self.tier.get_or_init(|| tier);
    }

    /// Tells of this database from now on.
    pub(crate) fn watch(&self, store: Store) {
        self.store.store(Some(Arc::new(Measured(store))));
    }
}

impl Observer for Metrics {
    type Exchange = Route;

    fn begin(&self, request: &Request<Incoming>) -> Route {
        self.shard().begun.fetch_add(1, Ordering::Relaxed);
        Route::of(request.method(), request.uri().path())
    }

    fn finish(&self, route: Route, _asked: &Asked, finished: Finished) {
        let shard = self.shard();
        shard.finished.fetch_add(1, Ordering::Relaxed);
        if finished.aborted && finished.status.is_some() {
            shard.aborted.fetch_add(1, Ordering::Relaxed);
        }
        let outcome = finished.status.map_or(ABANDONED, |status| {
            usize::from(status.as_u16() / 100).saturating_sub(1).min(4)
        });
        if let Some(route) = shard.routes.get(route as usize) {
            route.duration.observe(finished.elapsed);
            if let Some(counter) = route.outcomes.get(outcome) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The text of all metrics, in the OpenMetrics format.
pub(crate) fn render(metrics: &Arc<Metrics>) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(metrics)));
    if let Some(tier) = metrics.tier.get() {
        registry.register_collector(Box::new(Arc::clone(tier)));
    }
    let mut page = String::with_capacity(32 * 1024);
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// Media type of [`render`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut page = Page(encoder);
        page.information(self)?;
        page.requests(self)?;
        page.traffic(&self.traffic)?;
        if let Some(store) = self.store.load_full() {
            page.database(&store.0)?;
        }
        page.process(self)
    }
}

/// Writes families of metrics.
struct Page<'a>(DescriptorEncoder<'a>);

fn value(counter: &Counter) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Page<'_> {
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> std::fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> std::fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> std::fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, (f64, u64, Vec<(f64, u64)>))>,
    ) -> std::fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, (sum, count, classes)) in values {
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &classes, None)?;
        }
        Ok(())
    }

    fn information(&mut self, metrics: &Metrics) -> std::fmt::Result {
        let database = match metrics.store.load_full().map(|store| store.0.dialect()) {
            Some(Dialect::Postgres) => "postgresql",
            Some(Dialect::Sqlite) => "sqlite",
            None => "none",
        };
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("database", database),
        ];
        self.0
            .encode_descriptor("stoa", "This server.", None, MetricType::Info)?
            .encode_info(&labels)
    }

    fn requests(&mut self, metrics: &Metrics) -> std::fmt::Result {
        let routes = || Route::ALL.iter().enumerate();
        self.counters(
            "stoa_requests",
            "Requests answered, by route and class of status; abandoned: the client went away first.",
            routes().flat_map(|(place, route)| {
                OUTCOMES.iter().enumerate().map(move |(class, outcome)| {
                    let labels = [("route", route.label()), ("status", *outcome)];
                    (labels, metrics.sum(|shard| &shard.routes[place].outcomes[class]))
                })
            }),
        )?;
        self.histograms(
            "stoa_request_duration_seconds",
            "Time from a request's headers to the last byte of its response handed over.",
            routes().map(|(place, route)| {
                let shards = metrics
                    .shards
                    .iter()
                    .map(|shard| &shard.routes[place].duration);
                ([("route", route.label())], Histogram::read(shards))
            }),
        )?;
        let (begun, finished) = (
            metrics.sum(|shard| &shard.begun),
            metrics.sum(|shard| &shard.finished),
        );
        self.gauge(
            "stoa_requests_in_flight",
            "Requests at work.",
            begun.saturating_sub(finished) as f64,
        )?;
        self.counter(
            "stoa_responses_aborted",
            "Responses that clients did not take to their end.",
            metrics.sum(|shard| &shard.aborted),
        )?;
        self.counters(
            "stoa_reloads",
            "Reloads of the changed application.",
            [
                ([("outcome", "done")], value(&metrics.reloads)),
                ([("outcome", "refused")], value(&metrics.refused_reloads)),
            ],
        )
    }

    fn traffic(&mut self, traffic: &Traffic) -> std::fmt::Result {
        self.counter(
            "stoa_received_bytes",
            "Bytes received, headers included.",
            value(&traffic.bytes_in),
        )?;
        self.counter(
            "stoa_sent_bytes",
            "Bytes sent, headers included.",
            value(&traffic.bytes_out),
        )?;
        self.counter(
            "stoa_connections_accepted",
            "Connections accepted.",
            value(&traffic.connections_accepted),
        )?;
        self.counter(
            "stoa_connections_ended",
            "Connections ended by a time limit or to make room.",
            value(&traffic.connections_ended),
        )?;
        self.counter(
            "stoa_handshakes_failed",
            "Handshakes of TLS that came to nothing.",
            value(&traffic.handshakes_failed),
        )?;
        self.counter(
            "stoa_streams_ended",
            "Responses over HTTP/2 given up because the client took nothing of them.",
            value(&traffic.streams_ended),
        )?;
        let open = value(&traffic.connections_open) as f64;
        self.gauge("stoa_connections_open", "Connections at present.", open)
    }

    fn database(&mut self, store: &Store) -> std::fmt::Result {
        let statistics = store.statistics();
        let operations = || [("read", &statistics.reads), ("write", &statistics.writes)];
        self.counters(
            "stoa_database_operations",
            "Reads and writes.",
            operations().map(|(kind, operation)| ([("kind", kind)], value(&operation.count))),
        )?;
        self.counters(
            "stoa_database_failures",
            "Reads and writes that failed by no fault of the client.",
            operations().map(|(kind, operation)| ([("kind", kind)], value(&operation.failures))),
        )?;
        let latency = |operation: &Operation| {
            histogram::read(
                &LATENCY_BOUNDS,
                &operation.latencies,
                &operation.microseconds,
            )
        };
        self.histograms(
            "stoa_database_operation_duration_seconds",
            "Time of reads and writes.",
            operations().map(|(kind, operation)| ([("kind", kind)], latency(operation))),
        )?;
        for (name, help, counter) in [
            (
                "stoa_database_statements",
                "SQL statements sent.",
                &statistics.statements,
            ),
            (
                "stoa_database_plan_hits",
                "Requests whose SQL was known.",
                &statistics.plan_hits,
            ),
            (
                "stoa_database_plan_misses",
                "Requests whose SQL had to be made.",
                &statistics.plan_misses,
            ),
            (
                "stoa_database_prepared",
                "Statements prepared.",
                &statistics.prepared,
            ),
            (
                "stoa_database_connections_made",
                "Connections made.",
                &statistics.connections_made,
            ),
            (
                "stoa_database_cancelled",
                "Queries cancelled.",
                &statistics.cancelled,
            ),
            (
                "stoa_database_commits",
                "Commits of SQLite's writer.",
                &statistics.commits,
            ),
        ] {
            self.counter(name, help, value(counter))?;
        }
        let pool = store.pool_state();
        for (name, help, number) in [
            (
                "stoa_pool_limit",
                "Most connections (PostgreSQL) or threads (SQLite).",
                pool.most,
            ),
            ("stoa_pool_size", "Connections or threads.", pool.size),
            (
                "stoa_pool_idle",
                "Connections or threads without work.",
                pool.idle,
            ),
            (
                "stoa_pool_waiting",
                "Requests that wait for one.",
                pool.waiting,
            ),
        ] {
            self.gauge(name, help, number as f64)?;
        }
        Ok(())
    }

    fn process(&mut self, metrics: &Metrics) -> std::fmt::Result {
        let started = metrics
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.gauge(
            "process_start_time_seconds",
            "Start of the process, seconds since 1970.",
            started.as_secs_f64(),
        )?;
        if let Some(bytes) = resident_bytes() {
            self.gauge(
                "process_resident_memory_bytes",
                "Resident memory.",
                bytes as f64,
            )?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .strip_suffix(" kB")?
        .parse::<u64>()
        .ok()
        .map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::{HeaderValue, StatusCode};
    use stoa_web::forwarded::{Client, Scheme};

    use super::*;

    #[test]
    fn page() {
        let metrics = Arc::new(Metrics::new());
        let asked = Asked::new(
            HeaderValue::from_static("a"),
            Client::new(([192, 0, 2, 1], 4711).into(), Scheme::Http),
        );
        for (route, status, aborted) in [
            (Route::Static, Some(StatusCode::OK), false),
            (Route::Static, Some(StatusCode::NOT_FOUND), true),
            (Route::Write, None, true),
        ] {
            metrics.shard().begun.fetch_add(1, Ordering::Relaxed);
            let finished = Finished {
                status,
                bytes: 1,
                aborted,
                at: Instant::now(),
                elapsed: Duration::from_millis(1),
            };
            metrics.finish(route, &asked, finished);
        }
        let page = render(&metrics).unwrap();
        for line in [
            "# TYPE stoa_requests counter",
            "stoa_requests_total{route=\"static\",status=\"2xx\"} 1",
            "stoa_requests_total{route=\"static\",status=\"4xx\"} 1",
            "stoa_requests_total{route=\"write\",status=\"abandoned\"} 1",
            "stoa_request_duration_seconds_count{route=\"static\"} 2",
            "stoa_request_duration_seconds_bucket{le=\"+Inf\",route=\"static\"} 2",
            "stoa_responses_aborted_total 1",
            "stoa_requests_in_flight 0.0",
            "# EOF",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
    }

    /// The guide names every metric.
    #[test]
    fn the_guide_is_complete() {
        let source = include_str!("metrics.rs");
        let guide = include_str!("../../../docs/guide/operating.md");
        let names = source.split('"').filter(|text| {
            (text.starts_with("stoa_") || text.starts_with("process_"))
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        for name in names {
            assert!(
                guide.contains(name),
                "docs/guide/operating.md does not name {name}"
            );
        }
    }
}
