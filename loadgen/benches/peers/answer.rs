//! What each load generator prints, read.

use super::client::Measured;
use serde_json::Value;

fn told(operations: u64, latency_ms: [f64; 4]) -> Measured {
    Measured { operations, cpu_us: 0.0, latency_ms, slip_ms: [0.0; 2] }
}

/// Our own summary.
pub fn ours(text: &str) -> Option<Measured> {
    let summary: verdict::history::load::LoadSummary = serde_json::from_str(text).ok()?;
    let l = summary.latency_ms;
    let slip_p50_ms = summary.generator.as_ref().map_or(0.0, |g| g.slip_p50_ms);
    Some(Measured {
        slip_ms: [slip_p50_ms, summary.slip_p99_ms],
        ..told(summary.operations, [l.p50, l.p90, l.p99, l.max])
    })
}

/// A duration as wrk writes it.
fn wrk_ms(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    Some(
        number.parse::<f64>().ok()?
            * [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)]
                .iter()
                .find(|(u, _)| *u == unit)?
                .1,
    )
}

/// wrk, and wrk2, which writes the same but for decimals in the names of its percentiles.
pub fn wrk(text: &str) -> Option<Measured> {
    let field = |label: &str, n: usize| {
        text.lines().find_map(|l| {
            l.trim().strip_prefix(label)?.split_whitespace().nth(n).map(str::to_owned)
        })
    };
    let operations =
        text.lines().find_map(|l| l.split_once(" requests in ")?.0.trim().parse().ok())?;
    let quantile = |label: &str| wrk_ms(&field(label, 0)?);
    // Columns of the line of latencies: mean, deviation, largest.
    let max = text.lines().find_map(|l| {
        l.trim().strip_prefix("Latency ")?.split_whitespace().nth(2).and_then(wrk_ms)
    })?;
    let quantiles = ["50", "90", "99"]
        .map(|q| quantile(&format!("{q}%")).or_else(|| quantile(&format!("{q}.000%"))));
    Some(told(operations, [quantiles[0]?, quantiles[1]?, quantiles[2]?, max]))
}

/// oha's JSON.
pub fn oha(text: &str) -> Option<Measured> {
    let all: Value = serde_json::from_str(text).ok()?;
    let operations =
        all["statusCodeDistribution"].as_object()?.values().filter_map(Value::as_u64).sum();
    let ms = |v: &Value| v.as_f64().map(|s| s * 1e3);
    let p = &all["latencyPercentiles"];
    Some(told(
        operations,
        [ms(&p["p50"])?, ms(&p["p90"])?, ms(&p["p99"])?, ms(&all["summary"]["slowest"])?],
    ))
}

/// vegeta's report as JSON, in nanoseconds.
pub fn vegeta(text: &str) -> Option<Measured> {
    let all: Value = serde_json::from_str(text).ok()?;
    let ms = |name: &str| all["latencies"][name].as_f64().map(|ns| ns / 1e6);
    Some(told(all["requests"].as_u64()?, [ms("50th")?, ms("90th")?, ms("99th")?, ms("max")?]))
}

/// hey's summary, in seconds; some versions write `50%% in`.
pub fn hey(text: &str) -> Option<Measured> {
    let lines = || text.lines().map(str::trim);
    let operations = lines()
        .filter_map(|l| {
            l.strip_prefix('[')?
                .split_once(']')?
                .1
                .trim()
                .strip_suffix(" responses")?
                .parse::<u64>()
                .ok()
        })
        .sum();
    let ms = |text: &str| {
        text.trim()
            .strip_suffix(" secs")
            .and_then(|s| s.trim().parse::<f64>().ok())
            .map(|s| s * 1e3)
    };
    let quantile = |q: &str| {
        lines().find_map(|l| ms(l.strip_prefix(q)?.trim_start_matches('%').strip_prefix(" in ")?))
    };
    let max = lines().find_map(|l| ms(l.strip_prefix("Slowest:")?))?;
    Some(told(operations, [quantile("50")?, quantile("90")?, quantile("99")?, max]))
}

/// ab's summary, in whole milliseconds.
pub fn ab(text: &str) -> Option<Measured> {
    let number = |label: &str| {
        text.lines().find_map(|l| {
            l.trim().strip_prefix(label)?.split_whitespace().next()?.parse::<f64>().ok()
        })
    };
    let operations = number("Complete requests:")? as u64;
    Some(told(operations, [number("50%")?, number("90%")?, number("99%")?, number("100%")?]))
}
