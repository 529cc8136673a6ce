//! Prometheus metrics: the registry of a service, how it is written out, and what it says of the
//! process itself.

use std::fmt;
use std::sync::Arc;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::log::Log;

/// Upper bounds in seconds when HTTP_DURATION_BUCKETS says nothing: they reach beyond every
/// deadline.
pub const DURATION_BUCKETS: &str = "0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2,2.5,5,10";

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes histograms with the same bounds.
#[derive(Clone, Debug)]
pub struct Buckets(pub Vec<f64>);

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A histogram for each label set.
pub type Histograms<L> = Family<L, Histogram, Buckets>;

/// Reads a list of upper bounds in seconds: positive, finite, rising, separated by commas or
/// spaces.
pub fn parse_buckets(text: &str) -> Result<Buckets, String> {
    let wanted = "it wants rising positive seconds such as 0.1,0.5,1";
    let bounds = text
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse::<f64>() {
            Ok(bound) if bound.is_finite() && bound > 0.0 => Ok(bound),
            _ => Err(format!("bucket bound {word:?}: {wanted}")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if bounds.is_empty() || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(format!("bucket bounds {text:?}: {wanted}"));
    }
    Ok(Buckets(bounds))
}

/// A registry that already tells of the process and of log lines that were lost.
pub fn registry(log: &Log) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let log = log.clone();
    registry.register_collector(Box::new(Sampled::counter(
        "log_lines_dropped",
        "Log lines that were lost because the file stood still",
        move || log.dropped(),
    )));
    registry
}

/// Writes the registry in the format that the scraper asks for: OpenMetrics, or the older text
/// format.
pub fn respond(registry: &Registry, headers: &HeaderMap) -> Response {
    let mut text = String::with_capacity(16 * 1024);
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return (axum::http::StatusCode::INTERNAL_SERVER_ERROR, "metrics can't be encoded\n")
            .into_response();
    }
    let openmetrics = headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("openmetrics")));
    let content_type = if openmetrics { OPENMETRICS } else { TEXT_FORMAT };
    let body = if openmetrics { text } else { text_format(&text) };
    ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// OpenMetrics as the text format 0.0.4: there a counter's family has the name of its samples, with
/// `_total`.
fn text_format(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len() + 1024);
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().filter(|(helped, _)| *helped == name) {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// One value that is asked for at each scrape.
pub struct Sampled {
    name: &'static str,
    help: &'static str,
    counter: bool,
    sample: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Sampled {
    /// A level.
    pub fn gauge(
        name: &'static str,
        help: &'static str,
        sample: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { name, help, counter: false, sample: Arc::new(sample) }
    }

    /// A count; its name comes without `_total`, which the format adds.
    pub fn counter(
        name: &'static str,
        help: &'static str,
        sample: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { name, help, counter: true, sample: Arc::new(move || sample() as f64) }
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampled").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let value = (self.sample)();
        if self.counter {
            count(&mut encoder, self.name, self.help, value)
        } else {
            level(&mut encoder, self.name, self.help, value)
        }
    }
}

fn level(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn count(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

/// What `/proc/self` says, under the names that all client libraries use.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        if let Some(times) = ProcessTimes::parse(&read("/proc/self/stat"), &read("/proc/stat")) {
            count(
                &mut encoder,
                "process_cpu_seconds",
                "User and system CPU time spent, in seconds",
                times.cpu_seconds,
            )?;
            level(
                &mut encoder,
                "process_start_time_seconds",
                "Start time since the Unix epoch, in seconds",
                times.start_seconds,
            )?;
        }
        let status = read("/proc/self/status");
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory, in bytes"),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory, in bytes"),
        ] {
            if let Some(bytes) = status_bytes(&status, key) {
                level(&mut encoder, name, help, bytes)?;
            }
        }
        if let Some(threads) =
            status_field(&status, "Threads:").and_then(|count| count.parse().ok())
        {
            level(&mut encoder, "process_threads", "Threads", threads)?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            level(&mut encoder, "process_open_fds", "Open file descriptors", open.count() as f64)?;
        }
        Ok(())
    }
}

/// Linux counts process times in hundredths of a second (USER_HZ) on all architectures that matter
/// here.
const TICKS_PER_SECOND: f64 = 100.0;

struct ProcessTimes {
    cpu_seconds: f64,
    start_seconds: f64,
}

impl ProcessTimes {
    fn parse(own: &str, system: &str) -> Option<Self> {
        // The command's name, in parentheses, may hold anything; fields are counted from behind it
        // (state is field 3).
        let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let boot: f64 =
            system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
            start_seconds: boot + ticks(22)? / TICKS_PER_SECOND,
        })
    }
}

fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

fn status_bytes(status: &str, key: &str) -> Option<f64> {
    let kib: f64 = status_field(status, key)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn buckets_rise_or_are_refused() {
        assert_eq!(parse_buckets(DURATION_BUCKETS).unwrap().0.last(), Some(&10.0));
        assert_eq!(parse_buckets("0.5 1, 2").unwrap().0, [0.5, 1.0, 2.0]);
        for text in ["", "1,1", "2,1", "0", "-1", "nan", "inf", "fast"] {
            assert!(parse_buckets(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_text_format_names_a_counter_as_its_samples() {
        let mut registry = Registry::default();
        let requests = Counter::<u64>::default();
        requests.inc();
        registry.register("http_requests", "Requests", requests);
        registry.register_collector(Box::new(Sampled::gauge("level", "A level", || 1.5)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let text = text_format(&text);
        assert!(
            text.contains("# TYPE http_requests_total counter\nhttp_requests_total 1\n"),
            "{text}"
        );
        assert!(text.contains("# HELP http_requests_total Requests"), "{text}");
        assert!(text.contains("# TYPE level gauge\nlevel 1.5\n"), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[test]
    fn the_process_is_told_of() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!((now - value("process_start_time_seconds")).abs() < 3_600.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_cpu_seconds_total") < 3_600.0);
        assert!(value("process_open_fds") >= 3.0);
    }

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let own = "7 (a) b) S 1 1 1 0 -1 4 0 0 0 0 150 50 0 0 20 0 4 0 1000 1 1";
        let times = ProcessTimes::parse(own, "cpu 1\nbtime 1700000000\n").unwrap();
        assert_eq!(times.cpu_seconds, 2.0);
        assert_eq!(times.start_seconds, 1_700_000_010.0);
    }
}
