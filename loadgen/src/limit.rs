//! Bounds on what a load measures: an objective (`p99<=250ms`), or a condition that stops it (`p99
//! > 500ms`).

use crate::advice::Advice;
use crate::arrival::duration;
use std::fmt;
use verdict::history::load::{LoadSummary, Percentiles, Window};

/// A bound on one measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
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

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Limit {
    /// What must hold: `p99<=250ms`, `errors<=1%`.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn objective(text: &str) -> Result<Limit, Advice> {
        let wrong = || {
            Advice::new(
                format!("{text:?} is no objective"),
                "p50, p90, p95, p99 or max as in p99<=250ms, or errors<=1%",
            )
        };
        let (name, most) = text.split_once("<=").ok_or_else(wrong)?;
        Limit::parse(text, name, most, wrong)
    }

    /// What stops a load: `p99 > 500ms`, `error_rate > 5%`.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn stop_when(text: &str) -> Result<Limit, Advice> {
        let wrong = || {
            Advice::new(
                format!("{text:?} is no condition"),
                "p50, p90, p95, p99 or max as in \"p99 > 500ms\", or \"error_rate > 5%\"",
            )
        };
        let (name, most) = text.split_once('>').ok_or_else(wrong)?;
        Limit::parse(text, name, most, wrong)
    }

    /// The condition under which an objective does not hold.
    pub fn broken(&self) -> Limit {
        Limit { text: self.text.replace("<=", " > "), ..self.clone() }
    }

    fn parse(
        text: &str,
        name: &str,
        most: &str,
        wrong: impl Fn() -> Advice,
    ) -> Result<Limit, Advice> {
        let measure = match name.trim() {
            "p50" => Measure::P50,
            "p90" => Measure::P90,
            "p95" => Measure::P95,
            "p99" => Measure::P99,
            "max" => Measure::Max,
            "errors" | "error_rate" => Measure::Errors,
            _ => return Err(wrong()),
        };
        let most = match (measure, most.trim()) {
            (Measure::Errors, share) => {
                let percent = share.strip_suffix('%').and_then(|p| p.trim().parse::<f64>().ok());
                percent.filter(|p| (0.0..=100.0).contains(p)).ok_or_else(wrong)? / 100.0
            }
            (_, long) => duration(long).map_err(|e| e.to_string())?.as_secs_f64() * 1e3,
        };
        Ok(Limit { measure, most, text: text.trim().to_owned() })
    }

    /// What was seen, for people, and whether that is allowed.
    pub fn seen(&self, summary: &LoadSummary) -> (String, bool) {
        self.compare(&summary.latency_ms, summary.error_rate)
    }

    /// Whether it is exceeded by no more than the generator's own slip: then nobody knows whose
    /// doing it is.
    pub(crate) fn is_exceeded_by_slip_alone(&self, summary: &LoadSummary) -> bool {
        let on_time = |ms: f64| (ms - summary.slip_p99_ms).max(0.0);
        let l = summary.latency_ms;
        let l = Percentiles {
            p50: on_time(l.p50),
            p90: on_time(l.p90),
            p95: on_time(l.p95),
            p99: on_time(l.p99),
            max: on_time(l.max),
        };
        !self.seen(summary).1 && self.compare(&l, summary.error_rate).1
    }

    /// The same of a stretch. One in which nothing ended says nothing, so it is allowed.
    pub fn seen_in(&self, window: &Window) -> (String, bool) {
        self.compare(&window.latency_ms, window.error_rate())
    }

    /// Whether an operation that has taken this long already, ms, exceeds it.
    pub(crate) fn is_exceeded_by_waiting(&self, ms: f64) -> bool {
        self.measure != Measure::Errors && ms > self.most
    }

    fn compare(&self, latency: &Percentiles, error_rate: f64) -> (String, bool) {
        let (seen, text) = match self.measure {
            Measure::Errors => (error_rate, format!("{:.2} %", error_rate * 100.0)),
            measure => {
                let ms = match measure {
                    Measure::P50 => latency.p50,
                    Measure::P90 => latency.p90,
                    Measure::P95 => latency.p95,
                    Measure::P99 => latency.p99,
                    Measure::Max | Measure::Errors => latency.max,
                };
                (ms, format!("{ms:.3} ms"))
            }
        };
        (text, seen <= self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_and_judged() {
        let latency_ms = Percentiles { p50: 1.0, p90: 2.0, p95: 3.0, p99: 250.0, max: 251.0 };
        let summary = LoadSummary { latency_ms, error_rate: 0.02, ..LoadSummary::default() };
        let holds = |text: &str| Limit::objective(text).expect("readable").seen(&summary).1;
        assert!(
            holds("p99<=250ms") && holds("max<=1s") && holds("errors<=2%") && holds("p50 <= 1ms")
        );
        assert!(
            !holds("p99<=249ms")
                && !holds("max<=250ms")
                && !holds("errors<=1.9%")
                && !holds("p90<=1ms")
        );
        for text in [
            "p99",
            "p99<250ms",
            "p99<=250",
            "p98<=1s",
            "errors<=0.1",
            "errors<=101%",
            "errors<=x%",
            "",
            "p99 > 1s",
        ] {
            assert!(Limit::objective(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn conditions_are_read_and_judged() {
        let latency_ms = Percentiles { p99: 500.0, ..Percentiles::default() };
        let window = Window { operations: 100, errors: 5, latency_ms, ..Window::default() };
        let holds = |text: &str| !Limit::stop_when(text).expect("readable").seen_in(&window).1;
        assert!(holds("error_rate > 4.9%") && holds("p99>499ms") && holds("errors > 4 %"));
        assert_eq!(
            Limit::objective("p99<=1s").expect("readable").broken(),
            Limit::stop_when("p99 > 1s").expect("readable")
        );
        assert!(!holds("error_rate > 5%") && !holds("p99 > 500ms"));
        for text in
            ["p99", "p99<=1s", "p99 > 500", "error_rate > 0.05", "rate > 5%", "", "p99 >= 1s"]
        {
            assert!(Limit::stop_when(text).is_err(), "{text:?}");
        }
    }
}
