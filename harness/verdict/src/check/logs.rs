//! Acknowledged operations have their line, in the right index, with the right fields and types.

use super::Checker;
use super::calendar::{index_day, parse_rfc3339};
use super::timeline::Timeline;
use super::wording::{count, list};
use crate::cause::Cause;
use crate::history::load::{Operation, Outcome};
use crate::observation::Fact;
use crate::observation::fields::text;
use crate::observation::logs::{Document, FieldTypes};
use crate::{Event, History, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The field that holds a line's own time.
const TIMESTAMP: &str = "@timestamp";

/// Each acknowledged operation of the journeys has exactly one line of this source, in the index of
/// its day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinesStored {
    /// Name of the source of log lines, for the verdict's id and sentence.
    pub source: String,
    /// Index prefix before the date, for example `logs-email-service-`; the date follows as
    /// `YYYY.MM.dd` (UTC, of the line's own timestamp).
    pub index_prefix: String,
    /// Dotted name of the field that holds the operation's id.
    pub id_field: String,
    /// Field and value that select the lines which answer for an operation (for example `event` =
    /// `request`).
    pub select: BTreeMap<String, String>,
    /// Steps of journeys (`journey/step`) that must lead to such a line.
    pub steps: Vec<String>,
    /// Fields that each such line must have.
    pub required_fields: Vec<String>,
    /// Least number of operations that must count for a verdict other than unknown.
    pub least: u64,
}

/// The indices map each declared field to its declared type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldsTyped {
    /// Index prefix before the date, for example `logs-email-service-`.
    pub index_prefix: String,
    /// Name of the source of log lines, for the verdict's id.
    pub source: String,
    /// Type of each field by dotted name, for example `status` to `long`. A field that no document
    /// has yet may be missing from the mapping only if `optional` lists it.
    pub types: BTreeMap<String, String>,
    /// Dotted names of fields that need not be in the mapping.
    pub optional: Vec<String>,
}

/// A field by its dotted name, whether it is nested, flat, or partly both.
fn field<'d>(fields: &'d Map<String, Value>, name: &str) -> Option<&'d Value> {
    if let Some(v) = fields.get(name) {
        return (!v.is_null()).then_some(v);
    }
    name.match_indices('.').find_map(|(i, _)| {
        fields
            .get(&name[..i])
            .and_then(Value::as_object)
            .and_then(|inner| field(inner, &name[i + 1..]))
    })
}

/// What was stored for the operations.
struct Stored<'h> {
    /// Lines by operation id; each stored document once, however often it was read.
    lines: BTreeMap<String, Vec<(u64, &'h Document)>>,
    documents: u64,
    /// Why a line may be stored although it was not read.
    doubt: Option<String>,
}

impl LinesStored {
    /// The operation for which a line answers, if it is one that does.
    fn answers_for(&self, d: &Document) -> Option<String> {
        // Without a selection, lines of other sources carry the id as well: then only those of the
        // own index answer.
        if self.select.is_empty() && !d.index.starts_with(&self.index_prefix) {
            return None;
        }
        let fields = d.fields.parsed();
        let selected =
            self.select.iter().all(|(k, v)| field(&fields, k).is_some_and(|seen| text(seen) == *v));
        field(&fields, &self.id_field).filter(|_| selected).map(text)
    }

    /// `None` if the log store was never read at the capture.
    fn stored<'h>(&self, timeline: &Timeline<'h>) -> Option<Stored<'h>> {
        let mut stored = Stored { lines: BTreeMap::new(), documents: 0, doubt: None };
        let mut cut_off = false;
        let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut read = false;
        for (e, o) in timeline.captured_facts() {
            let Fact::Documents { documents, truncated } = &o.fact else { continue };
            read = true;
            cut_off |= truncated;
            for d in documents.iter().filter(|d| seen.insert((&d.index, &d.id))) {
                stored.documents += 1;
                if let Some(id) = self.answers_for(d) {
                    stored.lines.entry(id).or_default().push((e.seq, d));
                }
            }
        }
        stored.doubt = timeline.capture_gap(|f| matches!(f, Fact::Documents { .. }), cut_off);
        read.then_some(stored)
    }

    /// The index in which a line belongs, by its own time.
    fn home(&self, fields: &Map<String, Value>) -> Result<String, String> {
        let stamp = field(fields, TIMESTAMP).ok_or_else(|| TIMESTAMP.to_owned())?;
        let epoch_s = match stamp {
            Value::Number(ms) => ms.as_f64().map(|ms| (ms / 1e3).floor() as i64),
            other => parse_rfc3339(&text(other)),
        };
        let epoch_s =
            epoch_s.ok_or_else(|| format!("{TIMESTAMP} (it is {stamp}, which is no time)"))?;
        Ok(format!("{}{}", self.index_prefix, index_day(epoch_s)))
    }

    /// Two documents that are one line, stored twice: same time, same selected and required fields.
    fn same_line(&self, a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
        let names = self
            .required_fields
            .iter()
            .chain(self.select.keys())
            .map(String::as_str)
            .chain([TIMESTAMP]);
        names.into_iter().all(|n| field(a, n) == field(b, n))
    }
}

/// What is wrong with the lines of an operation.
#[derive(Default)]
struct Findings<'h> {
    by_cause: BTreeMap<Cause, Vec<(&'h str, u64, String)>>,
}

impl<'h> Findings<'h> {
    fn add(&mut self, cause: Cause, op: &'h Operation, seq: u64, what: String) {
        self.by_cause.entry(cause).or_default().push((&op.id, seq, what));
    }

    fn of(&self, cause: Cause) -> &[(&'h str, u64, String)] {
        self.by_cause.get(&cause).map_or(&[], Vec::as_slice)
    }

    fn ids(&self, cause: Cause) -> String {
        list(self.of(cause).iter().map(|(id, ..)| *id), 5)
    }
}

impl Checker for LinesStored {
    fn id(&self) -> String {
        format!("logs.{}.lines", self.source)
    }

    fn expected(&self) -> String {
        format!(
            "each acknowledged operation of {} has one line of {} in {}YYYY.MM.dd, with its fields",
            list(&self.steps, 8),
            self.source,
            self.index_prefix
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let operations = acknowledged(history, |o| self.steps.iter().any(|s| o.is_step(s)));
        let total = operations.len() as u64;
        if total < self.least.max(1) {
            let why = format!(
                "{} acknowledged, {} wanted for a verdict",
                count(total, "operation was", "operations were"),
                self.least.max(1)
            );
            return Verdict::unknown(id, expected, why);
        }
        let Some(stored) = self.stored(&timeline) else {
            return Verdict::unknown(
                id,
                expected,
                format!("the log store was never read after the load{}", silent_sources(&timeline)),
            );
        };
        let mut findings = Findings::default();
        let mut fine = 0;
        let mut twice_in_drills = 0;
        for (e, op) in &operations {
            let lines = stored.lines.get(&op.id).map_or(&[][..], Vec::as_slice);
            let Some((_, first)) = lines.first() else {
                findings.add(Cause::LogLineMissing, op, e.seq, op.id.clone());
                continue;
            };
            let mut ok = true;
            let parsed: Vec<(&Document, Map<String, Value>)> =
                lines.iter().map(|(_, d)| (*d, d.fields.parsed())).collect();
            if lines.len() > 1 {
                let doubled = parsed
                    .iter()
                    .enumerate()
                    .any(|(i, (_, a))| parsed[i + 1..].iter().any(|(_, b)| self.same_line(a, b)));
                // Under a fault a service may do its work, and log it, twice; one line stored twice
                // is the pipeline's doing.
                if doubled || timeline.during(op).next().is_none() {
                    ok = false;
                    findings.add(
                        Cause::LogLineDuplicated,
                        op,
                        e.seq,
                        format!("{} ({} lines, in {})", op.id, lines.len(), first.index),
                    );
                } else {
                    twice_in_drills += 1;
                }
            }
            for (d, fields) in &parsed {
                match self.home(fields) {
                    Ok(home) if home != d.index => {
                        ok = false;
                        findings.add(
                            Cause::WrongIndex,
                            op,
                            e.seq,
                            format!("{} is in {}, {} wanted", op.id, d.index, home),
                        );
                    }
                    Err(what) => {
                        ok = false;
                        findings.add(Cause::FieldMissing, op, e.seq, what);
                    }
                    Ok(_) => {}
                }
                for name in self.required_fields.iter().filter(|n| field(fields, n).is_none()) {
                    ok = false;
                    findings.add(Cause::FieldMissing, op, e.seq, name.clone());
                }
            }
            fine += u64::from(ok);
        }
        self.verdict(&timeline, &stored, &findings, Counts { total, fine, twice_in_drills })
    }
}

struct Counts {
    total: u64,
    fine: u64,
    twice_in_drills: u64,
}

impl Findings<'_> {
    fn number(&self, cause: Cause) -> u64 {
        self.of(cause).len() as u64
    }

    /// All that is wrong, in words, of `total` operations.
    fn seen(&self, total: u64) -> String {
        let mut seen = Vec::new();
        let missing = self.number(Cause::LogLineMissing);
        if missing > 0 {
            let ids = self.ids(Cause::LogLineMissing);
            seen.push(format!("{missing} of {total} operations have no line ({ids})"));
        }
        let doubled = self.of(Cause::LogLineDuplicated);
        if !doubled.is_empty() {
            seen.push(format!(
                "{} more than one: {}",
                count(doubled.len() as u64, "operation has", "operations have"),
                list(doubled.iter().map(|f| &f.2), 5)
            ));
        }
        let misplaced = self.of(Cause::WrongIndex);
        if !misplaced.is_empty() {
            seen.push(format!(
                "{} in the wrong index: {}",
                count(misplaced.len() as u64, "line is", "lines are"),
                list(misplaced.iter().map(|f| &f.2), 3)
            ));
        }
        let lacking = self.of(Cause::FieldMissing);
        if !lacking.is_empty() {
            let fields: BTreeSet<&str> = lacking.iter().map(|f| f.2.as_str()).collect();
            let operations: BTreeSet<&str> = lacking.iter().map(|f| f.0).collect();
            seen.push(format!(
                "lines of {} lack a field: {} ({})",
                count(operations.len() as u64, "operation", "operations"),
                list(&fields, 5),
                list(&operations, 5)
            ));
        }
        seen.join("; ")
    }

    /// The cause that convicts, the gravest first. An answer with holes can't show that something
    /// is missing; what it does show still counts.
    fn worst(&self, has_holes: bool) -> Option<Cause> {
        let order = [
            Cause::LogLineMissing,
            Cause::LogLineDuplicated,
            Cause::WrongIndex,
            Cause::FieldMissing,
        ];
        order
            .into_iter()
            .filter(|c| *c != Cause::LogLineMissing || !has_holes)
            .find(|c| self.number(*c) > 0)
    }
}

fn hint(cause: Cause) -> &'static str {
    match cause {
        Cause::LogLineMissing => {
            "follow one id: is it in the service's own log file, did the shipper read it, did the store refuse it (its log names mapping conflicts)?"
        }
        Cause::LogLineDuplicated => {
            "does the shipper read a file twice (two inputs, a lost registry), or send again what was stored already?"
        }
        Cause::WrongIndex => {
            "the index must be named after the line's source and its own timestamp in UTC: check the shipper's index setting and its time field"
        }
        _ => {
            "does the shipper decode the JSON into fields, or drop some; does the service still write the field?"
        }
    }
}

impl LinesStored {
    fn verdict(
        &self,
        timeline: &Timeline<'_>,
        stored: &Stored<'_>,
        findings: &Findings<'_>,
        counts: Counts,
    ) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let seen = findings.seen(counts.total);
        if let Some(cause) = findings.worst(stored.doubt.is_some()) {
            let verdict = Verdict::fail(id, expected, cause, seen)
                .hint(hint(cause))
                .witnesses(findings.of(cause).iter().map(|f| f.1))
                .evidence("operations with their line", counts.fine);
            return match cause {
                Cause::LogLineMissing => timeline.unless_truncated(verdict),
                _ => verdict,
            };
        }
        if let Some(doubt) = &stored.doubt
            && findings.number(Cause::LogLineMissing) > 0
        {
            let why = format!("{doubt}, so that absence proves nothing: {seen}");
            return Verdict::unknown(id, expected, why)
                .witnesses(findings.of(Cause::LogLineMissing).iter().map(|f| f.1));
        }
        let again = if counts.twice_in_drills > 0 {
            format!("; {} logged again by the service during drills", counts.twice_in_drills)
        } else {
            String::new()
        };
        let reason = format!(
            "{} of {} operations found among {} documents{again}",
            counts.fine, counts.total, stored.documents
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason).evidence("operations with their line", counts.fine),
        )
    }
}

/// Acknowledged operations that are wanted, in the order in which they were due.
pub(super) fn acknowledged(
    history: &History,
    is_wanted: impl Fn(&Operation) -> bool,
) -> Vec<(&Event, &Operation)> {
    let mut found: Vec<_> = history
        .operations()
        .filter(|(_, o)| o.outcome == Outcome::Acknowledged && is_wanted(o))
        .collect();
    found.sort_by_key(|(_, o)| (o.due.mono_us, o.id.as_str()));
    found
}

/// Backends that did not answer when the run was captured, for the reason.
pub(super) fn silent_sources(timeline: &Timeline<'_>) -> String {
    let silent: BTreeSet<String> = timeline
        .captured_facts()
        .into_iter()
        .filter_map(|(_, o)| match &o.fact {
            Fact::Unreachable { question, error } => {
                Some(format!("{} ({question}): {error}", o.source))
            }
            _ => None,
        })
        .collect();
    if silent.is_empty() {
        String::new()
    } else {
        format!("; not answering then: {}", list(&silent, 3))
    }
}

impl Checker for FieldsTyped {
    fn id(&self) -> String {
        format!("logs.{}.types", self.source)
    }

    fn expected(&self) -> String {
        format!(
            "every index {}* maps {} as declared",
            self.index_prefix,
            count(self.types.len() as u64, "field", "fields")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let mut last: BTreeMap<&str, (i64, u64, &FieldTypes)> = BTreeMap::new();
        for (e, o) in history.observations() {
            if let Fact::FieldTypes(t) = &o.fact
                && t.index.starts_with(&self.index_prefix)
                && last.get(t.index.as_str()).is_none_or(|(at, ..)| *at <= o.answered.mono_us)
            {
                last.insert(&t.index, (o.answered.mono_us, e.seq, t));
            }
        }
        if last.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                format!(
                    "no mapping of an index {}* was read{}",
                    self.index_prefix,
                    silent_sources(&timeline)
                ),
            );
        }
        let (mut fine, mut mismatched, mut missing, mut seqs) =
            (0, Vec::new(), Vec::new(), Vec::new());
        for (index, (_, seq, t)) in &last {
            seqs.push(*seq);
            for (name, wanted) in &self.types {
                match t.types.get(name) {
                    Some(seen) if seen == wanted => fine += 1,
                    Some(seen) => mismatched
                        .push((format!("{name} is {seen} in {index}, {wanted} wanted"), *seq)),
                    None if self.optional.contains(name) => {}
                    None => missing
                        .push((format!("{name} is not mapped in {index}, {wanted} wanted"), *seq)),
                }
            }
        }
        let (cause, first, second) = if mismatched.is_empty() {
            (Cause::FieldMissing, &missing, &mismatched)
        } else {
            (Cause::FieldTypeMismatch, &mismatched, &missing)
        };
        if !first.is_empty() {
            let seen = list(first.iter().chain(second).map(|(w, _)| w), 5);
            let hint = "check the index template, its pattern and its priority; a template changes only indices that are made after it";
            return Verdict::fail(id, expected, cause, seen)
                .witnesses(first.iter().map(|(_, s)| *s))
                .hint(hint);
        }
        let reason = format!(
            "{} of {} as declared",
            count(fine, "field", "fields"),
            count(last.len() as u64, "index", "indices")
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("fields of the declared type", fine)
                .witnesses(seqs),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_nested_and_flat() {
        let fields = serde_json::json!({"a": {"b": {"c": 1}, "d.e": "x"}, "f.g": true, "n": null});
        let fields = fields.as_object().expect("an object");
        assert_eq!(field(fields, "a.b.c"), Some(&Value::from(1)));
        assert_eq!(field(fields, "a.d.e"), Some(&Value::from("x")));
        assert_eq!(field(fields, "f.g"), Some(&Value::from(true)));
        assert_eq!(field(fields, "n"), None);
        assert_eq!(field(fields, "a.x"), None);
    }
}
