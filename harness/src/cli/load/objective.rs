//! What a load must keep to: `p99<=250ms`, `errors<=1%`.

use std::fmt;
use std::str::FromStr;
use verdict::history::load::LoadSummary;

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    measure: Measure,
    /// Most that is allowed: ms, or a share.
    most: f64,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    P50,
    P90,
    P95,
    P99,
    Max,
    Errors,
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Objective, String> {
        let wrong = || format!("{text:?} is no objective\nhint: p50, p90, p95, p99 or max as in p99<=250ms, or errors<=1%");
        let (name, most) = text.split_once("<=").ok_or_else(wrong)?;
        let measure = match name.trim() {
            "p50" => Measure::P50,
            "p90" => Measure::P90,
            "p95" => Measure::P95,
            "p99" => Measure::P99,
            "max" => Measure::Max,
            "errors" => Measure::Errors,
            _ => return Err(wrong()),
        };
        let most = match (measure, most.trim()) {
            (Measure::Errors, share) => {
                let percent: f64 = share.strip_suffix('%').and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(wrong());
                }
                percent / 100.0
            }
            (_, long) => loadgen::arrival::duration(long).map_err(|e| e.to_string())?.as_secs_f64() * 1e3,
        };
        Ok(Objective { measure, most, text: text.trim().to_owned() })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Objective {
    /// What was seen, for people, and whether that is allowed.
    pub fn seen(&self, summary: &LoadSummary) -> (String, bool) {
        let l = summary.latency_ms;
        let seen = match self.measure {
            Measure::P50 => l.p50,
            Measure::P90 => l.p90,
            Measure::P95 => l.p95,
            Measure::P99 => l.p99,
            Measure::Max => l.max,
            Measure::Errors => summary.error_rate,
        };
        let text = match self.measure {
            Measure::Errors => format!("{:.2} %", seen * 100.0),
            _ => format!("{seen:.3} ms"),
        };
        (text, seen <= self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::history::load::Percentiles;

    #[test]
    fn objectives_are_read_and_judged() {
        let latency_ms = Percentiles { p50: 1.0, p90: 2.0, p95: 3.0, p99: 250.0, max: 251.0 };
        let summary = LoadSummary { latency_ms, error_rate: 0.02, ..LoadSummary::default() };
        let holds = |text: &str| text.parse::<Objective>().expect("readable").seen(&summary).1;
        assert!(holds("p99<=250ms") && holds("max<=1s") && holds("errors<=2%") && holds("p50 <= 1ms"));
        assert!(!holds("p99<=249ms") && !holds("max<=250ms") && !holds("errors<=1.9%") && !holds("p90<=1ms"));
        for text in ["p99", "p99<250ms", "p99<=250", "p98<=1s", "errors<=0.1", "errors<=101%", "errors<=x%", ""] {
            assert!(text.parse::<Objective>().is_err(), "{text:?}");
        }
    }
}
