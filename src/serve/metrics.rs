//! What the server counts, in the text format of Prometheus. Labels are names of the program's own: routes, codes, states;
//! never a product, a key or an address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cache::How;

/// Upper ends of the buckets of durations, in milliseconds.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 500, 2_000, 10_000];

/// Counters of this process.
#[derive(Default)]
pub(super) struct Metrics {
    /// (route, status) → requests
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    /// Why requests were refused before they were looked at.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    hits: AtomicU64,
    stale: AtomicU64,
    misses: AtomicU64,
    connections: AtomicI64,
}

#[derive(Clone, Default)]
struct Durations {
    /// Per bucket, the last one of what is longer than all.
    counts: [u64; BUCKETS_MS.len() + 1],
    sum_us: u64,
}

/// A value that is asked for when metrics are: name, help, and values by label.
pub(super) struct Gauge {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// (label with its value, or '' for none; value)
    pub(super) values: Vec<(String, f64)>,
}

impl Metrics {
    pub(super) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((route, status)).or_default() += 1;
        let mut durations = lock(&self.durations);
        let durations = durations.entry(route).or_default();
        let ms = took.as_millis() as u64;
        let place = BUCKETS_MS.iter().position(|end| ms < *end).unwrap_or(BUCKETS_MS.len());
        durations.counts[place] += 1;
        durations.sum_us += took.as_micros() as u64;
    }

    pub(super) fn refused(&self, why: &'static str) {
        *lock(&self.refused).entry(why).or_default() += 1;
    }

    pub(super) fn cached(&self, how: How) {
        let counter = match how {
            How::Hit => &self.hits,
            How::Stale => &self.stale,
            How::Miss => &self.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connected(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// Everything that was counted, and the gauges.
    pub(super) fn text(&self, gauges: &[Gauge]) -> String {
        let mut out = String::new();
        head(&mut out, "amzctl_http_requests_total", "counter", "Requests that were answered.");
        for ((route, status), count) in lock(&self.requests).iter() {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            let _ = writeln!(out, "amzctl_http_requests_total{labels} {count}");
        }
        let name = "amzctl_http_request_duration_seconds";
        head(&mut out, name, "histogram", "Time to answer a request.");
        for (route, durations) in lock(&self.durations).iter() {
            let mut total = 0;
            for (place, count) in durations.counts.iter().enumerate() {
                total += count;
                let end =
                    BUCKETS_MS.get(place).map_or("+Inf".to_owned(), |ms| format!("{}", *ms as f64 / 1e3));
                let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{end}\"}} {total}");
            }
            let _ = writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", durations.sum_us as f64 / 1e6);
            let _ = writeln!(out, "{name}_count{{route=\"{route}\"}} {total}");
        }
        let name = "amzctl_http_refused_total";
        head(&mut out, name, "counter", "Requests that were refused before they were looked at.");
        for (why, count) in lock(&self.refused).iter() {
            let _ = writeln!(out, "{name}{{reason=\"{why}\"}} {count}");
        }
        let name = "amzctl_cache_answers_total";
        head(&mut out, name, "counter", "Answers of what may be kept, by where they came from.");
        for (how, counter) in [("hit", &self.hits), ("stale", &self.stale), ("miss", &self.misses)] {
            let _ = writeln!(out, "{name}{{from=\"{how}\"}} {}", counter.load(Ordering::Relaxed));
        }
        head(&mut out, "amzctl_http_connections", "gauge", "Connections that are open.");
        let _ = writeln!(out, "amzctl_http_connections {}", self.connections.load(Ordering::Relaxed));
        for gauge in gauges {
            head(&mut out, gauge.name, "gauge", gauge.help);
            for (label, value) in &gauge.values {
                let label = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
                let _ = writeln!(out, "{}{label} {value}", gauge.name);
            }
        }
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_as_prometheus_reads_it() {
        let metrics = Metrics::default();
        metrics.answered("list_products", 200, Duration::from_millis(3));
        metrics.answered("list_products", 200, Duration::from_millis(30));
        metrics.answered("list_products", 404, Duration::from_secs(60));
        metrics.refused("rate_limited");
        metrics.cached(How::Hit);
        let gauge =
            Gauge { name: "amzctl_open", help: "Open.", values: vec![("state=\"x\"".to_owned(), 2.0)] };
        let text = metrics.text(&[gauge]);
        for line in [
            "amzctl_http_requests_total{route=\"list_products\",status=\"200\"} 2",
            "amzctl_http_request_duration_seconds_bucket{route=\"list_products\",le=\"0.002\"} 0",
            "amzctl_http_request_duration_seconds_bucket{route=\"list_products\",le=\"0.005\"} 1",
            "amzctl_http_request_duration_seconds_bucket{route=\"list_products\",le=\"10\"} 2",
            "amzctl_http_request_duration_seconds_bucket{route=\"list_products\",le=\"+Inf\"} 3",
            "amzctl_http_request_duration_seconds_sum{route=\"list_products\"} 60.033",
            "amzctl_http_refused_total{reason=\"rate_limited\"} 1",
            "amzctl_cache_answers_total{from=\"hit\"} 1",
            "amzctl_open{state=\"x\"} 2",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
    }
}
