//! Acknowledged operations against what is stored of them, by id.

use crate::check::calendar::parse_rfc3339;
use crate::history::load::{LoadEvent, Operation, Outcome};
use crate::observation::Fact;
use crate::{EventKind, History};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The ledger of one signal: acknowledged operations against what is stored of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerRow {
    /// The signal: `log:<source>`, `trace`, or the name of a sink.
    pub signal: String,
    /// Number of acknowledged operations that must lead to it.
    pub sent: u64,
    /// Number of those that are stored at least once.
    pub stored: u64,
    /// Number of those that are not stored; null where sampling makes absence lawful.
    pub lost: Option<u64>,
    /// Number of those that are stored more than once.
    pub duplicated: u64,
    /// 99th percentile of the time from the acknowledgement to the earliest stored copy's own time
    /// (a line's timestamp, the end of a trace's last span, the sight of a mail), seconds, 0 where
    /// it came first; null if nothing is stored.
    pub late_p99_s: Option<f64>,
}

/// A source of log lines, for the ledger: name, field that holds the operation's id, selecting
/// fields, steps.
pub struct LedgerSource<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Index prefix before the date.
    pub index_prefix: &'a str,
    /// Dotted name of the field that holds the operation's id.
    pub id_field: &'a str,
    /// Fields and values that select the lines which answer for an operation.
    pub select: &'a BTreeMap<String, String>,
    /// Steps, written `journey/step`, that lead to a line.
    pub steps: &'a [String],
}

/// What is stored of an operation.
#[derive(Default)]
struct Stored {
    /// Ids of the copies.
    copies: BTreeSet<String>,
    /// Earliest time of a copy, seconds since the epoch.
    first_s: Option<f64>,
}

impl Stored {
    fn add(&mut self, copy: String, at_s: Option<f64>) {
        self.copies.insert(copy);
        self.first_s = match (self.first_s, at_s) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Acknowledged operations of these steps, by id.
fn acknowledged<'a>(history: &'a History, steps: &[String]) -> BTreeMap<&'a str, &'a Operation> {
    let of_step =
        |o: &Operation| o.outcome == Outcome::Acknowledged && steps.iter().any(|s| o.is_step(s));
    history
        .operations()
        .map(|(_, o)| o)
        .filter(|o| of_step(o))
        .map(|o| (o.id.as_str(), o))
        .collect()
}

fn row(
    signal: String,
    sent: &BTreeMap<&str, &Operation>,
    stored: &BTreeMap<String, Stored>,
    sampled: bool,
) -> LedgerRow {
    let found: Vec<(&Operation, &Stored)> =
        sent.iter().filter_map(|(id, o)| Some((*o, stored.get(*id)?))).collect();
    let mut late: Vec<f64> =
        found.iter().filter_map(|(o, s)| Some((s.first_s? - o.ended.wall_s()).max(0.0))).collect();
    late.sort_by(f64::total_cmp);
    LedgerRow {
        signal,
        sent: sent.len() as u64,
        stored: found.len() as u64,
        lost: (!sampled).then_some((sent.len() - found.len()) as u64),
        duplicated: found.iter().filter(|(_, s)| s.copies.len() > 1).count() as u64,
        late_p99_s: rank(&late, 0.99),
    }
}

/// The smallest of sorted values that a share `q` of them does not exceed.
pub(super) fn rank(sorted: &[f64], q: f64) -> Option<f64> {
    let place = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

/// Seconds since the epoch of an RFC 3339 timestamp, with its fraction.
fn instant(text: &str) -> Option<f64> {
    let whole = parse_rfc3339(text)? as f64;
    let fraction: String = text
        .get(19..)?
        .strip_prefix('.')
        .map(|f| f.chars().take_while(char::is_ascii_digit).collect())
        .unwrap_or_default();
    Some(whole + format!("0.{fraction}0").parse::<f64>().ok()?)
}

/// The ledger: acknowledged operations against stored lines, traces and what arrived in sinks, by
/// id. A sink is told with the steps that lead to it.
pub fn ledger(
    history: &History,
    sources: &[LedgerSource<'_>],
    traces: Option<(&str, &[String])>,
    sinks: &BTreeMap<String, Vec<String>>,
) -> Vec<LedgerRow> {
    let mut rows: Vec<LedgerRow> = sources
        .iter()
        .map(|s| {
            row(
                format!("log:{}", s.source),
                &acknowledged(history, s.steps),
                &lines(history, s),
                false,
            )
        })
        .collect();
    if let Some((attribute, steps)) = traces {
        rows.push(row(
            "trace".into(),
            &acknowledged(history, steps),
            &kept(history, attribute),
            true,
        ));
    }
    for (sink, steps) in sinks {
        let sent = acknowledged(history, steps);
        rows.push(row(sink.clone(), &sent, &arrived(history, sink), false));
    }
    rows
}

fn lines(history: &History, source: &LedgerSource<'_>) -> BTreeMap<String, Stored> {
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    for (_, o) in history.observations() {
        let Fact::Documents { documents, .. } = &o.fact else { continue };
        for d in documents.iter().filter(|d| d.index.starts_with(source.index_prefix)) {
            let fields = d.fields.parsed();
            let text = |field: &str| fields.get(field).and_then(|x| x.as_str());
            if let (true, Some(id)) =
                (source.select.iter().all(|(f, v)| text(f) == Some(v)), text(source.id_field))
            {
                stored
                    .entry(id.to_owned())
                    .or_default()
                    .add(format!("{}/{}", d.index, d.id), text("@timestamp").and_then(instant));
            }
        }
    }
    stored
}

fn kept(history: &History, attribute: &str) -> BTreeMap<String, Stored> {
    let spans = || {
        history.observations().flat_map(|(_, o)| match &o.fact {
            Fact::Spans { spans, .. } => spans.as_slice(),
            _ => &[],
        })
    };
    let mut ends: BTreeMap<&str, i64> = BTreeMap::new();
    for span in spans() {
        let end = ends.entry(&span.trace_id).or_insert(i64::MIN);
        *end = (*end).max(span.start_us + span.duration_us);
    }
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    for span in spans() {
        if let Some(id) = span.operation(attribute) {
            stored.entry(id).or_default().add(
                span.trace_id.clone(),
                ends.get(span.trace_id.as_str()).map(|us| *us as f64 / 1e6),
            );
        }
    }
    stored
}

/// Sinks in which a recorded run saw anything arrive, each with the steps of the operations that it
/// was an effect of: what led there, of a run whose declaration does not tell.
pub fn sinks_seen(history: &History) -> BTreeMap<String, Vec<String>> {
    let steps: BTreeMap<&str, String> = history
        .operations()
        .map(|(_, o)| (o.id.as_str(), format!("{}/{}", o.journey, o.step)))
        .collect();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in &history.events {
        if let EventKind::Load(LoadEvent::Seen { operation, sink, .. }) = &event.kind
            && let Some(step) = steps.get(operation.as_str())
        {
            seen.entry(sink.clone()).or_default().insert(step.clone());
        }
    }
    seen.into_iter().map(|(sink, steps)| (sink, steps.into_iter().collect())).collect()
}

fn arrived(history: &History, of: &str) -> BTreeMap<String, Stored> {
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    for event in &history.events {
        if let EventKind::Load(LoadEvent::Seen { operation, sink, copies, .. }) = &event.kind
            && sink == of
        {
            let copy = stored.entry(operation.clone()).or_default();
            (0..*copies).for_each(|n| copy.add(n.to_string(), Some(event.at.wall_s())));
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::super::tests::{self, history};
    use super::*;
    use crate::history::At;
    use crate::observation::Observation;
    use crate::observation::logs::Document;
    use crate::observation::traces::Span;

    fn operation(id: &str, ended_s: i64) -> EventKind {
        let at = At { mono_us: 0, wall_us: ended_s * 1_000_000 };
        tests::operation(id, at, at, at)
    }

    fn saw(fact: Fact) -> EventKind {
        EventKind::Observation(Observation {
            source: "s".into(),
            via: None,
            asked: At::default(),
            answered: At::default(),
            fact,
        })
    }

    fn line(id: &str, operation: &str, stamp: &str) -> Document {
        let fields = [("@timestamp", stamp), ("operation_id", operation), ("event", "request")];
        Document {
            index: "logs-a-2026.02.02".into(),
            id: id.into(),
            fields: serde_json::Map::from_iter(fields.map(|(k, v)| (k.to_owned(), v.into())))
                .into(),
        }
    }

    const NOON: i64 = 1_770_033_600;

    #[test]
    fn lost_twice_stored_and_late_are_counted_by_id() {
        let documents = vec![
            line("1", "a", "2026-02-02T12:00:01.500Z"),
            line("2", "b", "2026-02-02T11:59:59Z"),
            line("3", "b", "2026-02-02T12:00:09Z"),
            line("4", "invented", "2026-02-02T12:00:00Z"),
        ];
        let history = history([
            operation("a", NOON),
            operation("b", NOON),
            operation("c", NOON),
            saw(Fact::Documents { documents, truncated: false }),
        ]);
        let select = [("event".to_owned(), "request".to_owned())].into();
        let steps = ["send/send".to_owned()];
        let source = LedgerSource {
            source: "a",
            index_prefix: "logs-a-",
            id_field: "operation_id",
            select: &select,
            steps: &steps,
        };
        let rows = ledger(&history, &[source], None, &BTreeMap::new());
        assert_eq!(
            rows,
            [LedgerRow {
                signal: "log:a".into(),
                sent: 3,
                stored: 2,
                lost: Some(1),
                duplicated: 1,
                late_p99_s: Some(1.5)
            }]
        );
    }

    #[test]
    fn a_trace_that_sampling_left_out_is_not_lost_and_a_mail_seen_twice_is_a_duplicate() {
        let span = |trace: &str, start_s: i64, id: Option<&str>| Span {
            trace_id: trace.into(),
            span_id: "1".into(),
            parent_id: None,
            service: "s".into(),
            name: "n".into(),
            start_us: start_s * 1_000_000,
            duration_us: 500_000,
            attributes: id.map(|i| ("operation.id", i.into())).into_iter().collect(),
        };
        let spans = vec![span("t", NOON, Some("a")), span("t", NOON + 2, None)];
        let seen = EventKind::Load(LoadEvent::Seen {
            operation: "b".into(),
            sink: "mail".into(),
            place: "m".into(),
            copies: 2,
        });
        let history = history([
            operation("a", NOON),
            operation("b", NOON),
            saw(Fact::Spans { spans, truncated: false }),
            seen,
        ]);
        let steps = ["send/send".to_owned()];
        let sinks = BTreeMap::from([("mail".to_owned(), steps.to_vec())]);
        assert_eq!(sinks_seen(&history), sinks);
        let rows = ledger(&history, &[], Some(("operation.id", &steps)), &sinks);
        assert_eq!(
            rows[0],
            LedgerRow {
                signal: "trace".into(),
                sent: 2,
                stored: 1,
                lost: None,
                duplicated: 0,
                late_p99_s: Some(2.5)
            }
        );
        assert_eq!((rows[1].stored, rows[1].lost, rows[1].duplicated), (1, Some(1), 1));
    }

    #[test]
    fn nothing_stored_has_no_lateness() {
        assert_eq!(rank(&[], 0.99), None);
        assert_eq!(rank(&[1.0], 0.99), Some(1.0));
        assert_eq!(rank(&(1..=200).map(f64::from).collect::<Vec<_>>(), 0.99), Some(198.0));
        assert_eq!(instant("2026-02-02T12:00:00.25Z"), Some(NOON as f64 + 0.25));
    }
}
