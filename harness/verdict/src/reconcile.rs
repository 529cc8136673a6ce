//! Whether what the monitoring tells of a stretch of time is what took place in it: counters,
//! stored lines and stored traces against what the application's own stores hold. Both ends of the
//! stretch are times of rest, so that nothing is under way across them.

use crate::check::proportion::two_sided;
use crate::observation::metrics::Series;
use std::collections::{BTreeMap, BTreeSet};

/// What the application's own stores hold of the stretch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// Ids of the operations whose answer promised a mail.
    pub promised: BTreeSet<String>,
    /// The rows of the database, one for each promise.
    pub rows: Vec<Row>,
    /// Number of tasks that wait in the queue or are taken and not done.
    pub waiting: u64,
    /// Ids of the operations of the mails in the mailboxes, once for each copy.
    pub mails: Vec<String>,
}

/// A row of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Id of the operation that made it.
    pub operation: String,
    /// How far its mail has come.
    pub state: RowState,
    /// Number of mailboxes that it goes to.
    pub recipients: u64,
}

/// How far the mail of a row has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// It still waits.
    Waiting,
    /// It was handed to the mail server.
    Sent,
    /// It was given up.
    Failed,
}

/// What a counter or a source of log lines counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Rows of the database.
    Rows,
    /// Rows that were sent; a counter counts each recipient.
    Sent,
    /// Mails in mailboxes.
    Mails,
}

/// What the monitoring tells of the stretch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Of each counter its name, what it counts, and how much it grew.
    pub counters: Vec<(String, Counts, Growth)>,
    /// Of each source of log lines its name, what it has a line for, and the ids of its lines' operations.
    pub lines: Vec<(String, Counts, Vec<String>)>,
    /// Ids of the operations of the traces that were kept, once for each trace.
    pub traces: Vec<String>,
    /// Stated share of traces that is kept, 0 to 1.
    pub kept_share: f64,
    /// Chance with which the share may be called wrong though it is right, 0 to 1.
    pub alpha: f64,
}

/// How much a counter grew, as far as its raw samples tell: nothing is said of the time between two
/// of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// The least that it grew by.
    pub least: f64,
    /// The most that it grew by.
    pub most: f64,
}

impl Growth {
    /// How much series grew together between two instants (seconds since 1970), from their raw
    /// samples as stored.
    ///
    /// # Errors
    /// There is no series, one lacks a sample before or after either instant, or one fell: what it
    /// counted before is not known then.
    pub fn of(series: &[Series], from_s: f64, to_s: f64) -> Result<Growth, String> {
        if series.is_empty() {
            return Err("no series".into());
        }
        let mut sum = Growth { least: 0.0, most: 0.0 };
        for s in series {
            let points: Vec<(f64, f64)> =
                s.points.iter().filter_map(|(t, v)| Some((*t, (*v)?))).collect();
            let last = |until: f64| points.iter().rposition(|(t, _)| *t <= until);
            let first = |from: f64| points.iter().position(|(t, _)| *t >= from);
            let (Some(b0), Some(a0), Some(b1), Some(a1)) =
                (last(from_s), first(from_s), last(to_s), first(to_s))
            else {
                return Err(format!(
                    "{:?} has no sample before or after an end of the stretch",
                    s.labels
                ));
            };
            if points[b0..=a1].windows(2).any(|w| w[1].1 < w[0].1) {
                return Err(format!("{:?} fell within the stretch", s.labels));
            }
            sum.least += (points[b1].1 - points[a0].1).max(0.0);
            sum.most += points[a1].1 - points[b0].1;
        }
        Ok(sum)
    }
}

/// Everything in which the two differ, a sentence each; empty if they agree. Nothing having taken
/// place is a difference as well: nothing could be compared then.
pub fn differences(truth: &Truth, told: &Told) -> Vec<String> {
    let mut found = Vec::new();
    let rows: Vec<&str> = truth.rows.iter().map(|r| r.operation.as_str()).collect();
    let sent: Vec<&Row> = truth.rows.iter().filter(|r| r.state == RowState::Sent).collect();
    let mails: Vec<&str> = truth.mails.iter().map(String::as_str).collect();
    if truth.promised.is_empty() || told.counters.is_empty() || told.lines.is_empty() {
        found.push(
            "nothing was compared: no operation, no counter or no source of lines".to_owned(),
        );
    }
    let promised: Vec<&str> = truth.promised.iter().map(String::as_str).collect();
    found.extend(compare("rows", &rows, "promises", &promised));
    let waiting = truth.rows.iter().filter(|r| r.state == RowState::Waiting).count() as u64;
    if waiting != truth.waiting {
        found.push(format!(
            "{waiting} rows wait to be sent, and the queue holds {} tasks",
            truth.waiting
        ));
    }
    let copies: Vec<&str> = sent
        .iter()
        .flat_map(|r| std::iter::repeat_n(r.operation.as_str(), r.recipients as usize))
        .collect();
    found.extend(compare("mails", &mails, "recipients of rows that were sent", &copies));
    let of = |counts: Counts| match counts {
        Counts::Rows => (&rows, "rows".to_owned()),
        Counts::Sent => (&copies, "rows that were sent".to_owned()),
        Counts::Mails => (&mails, "mails".to_owned()),
    };
    let number =
        |counts: Counts| if counts == Counts::Sent { sent.len() } else { of(counts).0.len() };
    for (name, counts, growth) in &told.counters {
        let n = number(*counts) as f64;
        if !(growth.least..=growth.most).contains(&n) {
            found.push(format!(
                "{name} grew by {} to {}, and there are {n} {}",
                growth.least,
                growth.most,
                of(*counts).1
            ));
        }
    }
    for (source, counts, ids) in &told.lines {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let wanted: Vec<&str> = match counts {
            Counts::Sent => sent.iter().map(|r| r.operation.as_str()).collect(),
            _ => of(*counts).0.clone(),
        };
        found.extend(compare(&format!("lines of {source}"), &ids, &of(*counts).1, &wanted));
    }
    let kept: BTreeSet<&str> = told.traces.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = rows.iter().copied().collect();
    let invented: Vec<&str> = kept.difference(&known).copied().collect();
    if !invented.is_empty() {
        found.push(format!("{} traces of no row: {}", invented.len(), some(&invented)));
    }
    if kept.len() < told.traces.len() {
        found.push(format!("{} traces of {} operations", told.traces.len(), kept.len()));
    }
    let of = known.len().max(kept.len()) as u64;
    match two_sided(kept.len() as u64, of, told.kept_share) {
        None => found.push(format!(
            "the share of traces that is kept is stated as {}, wanted 0 to 1",
            told.kept_share
        )),
        Some(chance) if chance < told.alpha => found.push(format!(
            "traces of {} of {} rows were kept, which a share of {} explains with a chance of {chance:.1e}",
            kept.len(),
            known.len(),
            told.kept_share
        )),
        Some(_) => {}
    }
    found
}

/// In what two collections of ids differ, copies counted.
fn compare(what: &str, seen: &[&str], others: &str, wanted: &[&str]) -> Option<String> {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    seen.iter().for_each(|id| *balance.entry(id).or_default() += 1);
    wanted.iter().for_each(|id| *balance.entry(id).or_default() -= 1);
    let missing: Vec<&str> = balance.iter().filter(|(_, n)| **n < 0).map(|(id, _)| *id).collect();
    let more: Vec<&str> = balance.iter().filter(|(_, n)| **n > 0).map(|(id, _)| *id).collect();
    let parts: Vec<String> = [("missing", missing), ("too many", more)]
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(how, ids)| format!("{} {how} ({})", ids.len(), some(&ids)))
        .collect();
    (!parts.is_empty()).then(|| {
        format!("{} {what} for {} {others}: {}", seen.len(), wanted.len(), parts.join(", "))
    })
}

fn some(ids: &[&str]) -> String {
    let more = if ids.len() > 3 { ", …" } else { "" };
    format!("{}{more}", ids[..ids.len().min(3)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("op-{i:03}")).collect()
    }

    /// A hundred mails, of which the last three still wait and the one before was given up; every
    /// second trace is kept.
    fn honest() -> (Truth, Told) {
        let state = |i: usize| match i {
            0..96 => RowState::Sent,
            96 => RowState::Failed,
            _ => RowState::Waiting,
        };
        let rows: Vec<Row> = ids(100)
            .into_iter()
            .enumerate()
            .map(|(i, operation)| Row { operation, state: state(i), recipients: 1 })
            .collect();
        let truth =
            Truth { promised: ids(100).into_iter().collect(), rows, waiting: 3, mails: ids(96) };
        let grew = |n: f64| Growth { least: n, most: n };
        let told = Told {
            counters: vec![
                ("accepted_total".into(), Counts::Rows, grew(100.0)),
                ("sent_total".into(), Counts::Sent, Growth { least: 95.0, most: 97.0 }),
                ("delivered_total".into(), Counts::Mails, grew(96.0)),
            ],
            lines: vec![
                ("api".into(), Counts::Rows, ids(100)),
                ("worker".into(), Counts::Sent, ids(96)),
            ],
            traces: ids(100).into_iter().step_by(2).collect(),
            kept_share: 0.5,
            alpha: 0.001,
        };
        (truth, told)
    }

    #[test]
    fn honest_services_agree_with_what_they_stored() {
        let (truth, told) = honest();
        assert_eq!(differences(&truth, &told), Vec::<String>::new());
        assert!(differences(&Truth::default(), &told)[0].starts_with("nothing was compared"));
        assert!(
            differences(&truth, &Told { kept_share: 0.5, ..Told::default() })[0]
                .starts_with("nothing was compared")
        );
    }

    #[test]
    fn each_lie_is_told() {
        let lie = |change: &dyn Fn(&mut Truth, &mut Told), wanted: &[&str]| {
            let (mut truth, mut told) = honest();
            change(&mut truth, &mut told);
            let seen = differences(&truth, &told);
            assert_eq!(seen.len(), wanted.len(), "{seen:#?}");
            seen.iter()
                .zip(wanted)
                .for_each(|(s, w)| assert!(s.contains(w), "{w:?} is not in {s:?}"));
        };
        lie(
            &|_, t| t.counters[0].2 = Growth { least: 101.0, most: 103.0 },
            &["accepted_total grew by 101 to 103, and there are 100 rows"],
        );
        lie(
            &|_, t| t.counters[1].2.most = 95.5,
            &["sent_total grew by 95 to 95.5, and there are 96 rows that were sent"],
        );
        lie(&|_, t| t.counters[2].2.least = 96.5, &["delivered_total grew by 96.5 to 96"]);
        lie(
            &|_, t| drop(t.lines[0].2.pop()),
            &["99 lines of api for 100 rows: 1 missing (op-099)"],
        );
        lie(
            &|_, t| t.lines[1].2.push("op-001".into()),
            &["97 lines of worker for 96 rows that were sent: 1 too many (op-001)"],
        );
        lie(&|_, t| t.traces[0] = "elsewhere".into(), &["1 traces of no row: elsewhere"]);
        lie(&|_, t| t.traces.push("op-000".into()), &["51 traces of 50 operations"]);
        lie(&|_, t| t.traces.truncate(25), &["traces of 25 of 100 rows were kept"]);
        for share in [f64::NAN, -0.5, 1.5] {
            lie(&|_, t| t.kept_share = share, &["the share of traces that is kept is stated as"]);
        }
        lie(&|t, _| t.waiting = 0, &["3 rows wait to be sent, and the queue holds 0 tasks"]);
        lie(
            &|t, _| drop(t.mails.remove(7)),
            &[
                "95 mails for 96 recipients of rows that were sent: 1 missing (op-007)",
                "delivered_total",
            ],
        );
        lie(&|t, _| t.rows[3].recipients = 2, &["1 missing (op-003)"]);
        lie(
            &|t, _| assert!(t.promised.insert("op-lost".into())),
            &["100 rows for 101 promises: 1 missing (op-lost)"],
        );
    }

    proptest! {
        #[test]
        fn a_row_that_is_gone_is_missed_by_everyone_who_counted_it(at in 0usize..96) {
            let (mut truth, told) = honest();
            truth.rows.remove(at);
            let seen = differences(&truth, &told);
            prop_assert!(seen.iter().any(|s| s.contains("99 rows for 100 promises")), "{seen:#?}");
            prop_assert!(seen.iter().any(|s| s.contains("accepted_total")), "{seen:#?}");
            prop_assert!(seen.iter().any(|s| s.contains("lines of api")), "{seen:#?}");
            prop_assert!(seen.iter().any(|s| s.contains("lines of worker")), "{seen:#?}");
            prop_assert!(seen.iter().any(|s| s.contains("96 mails for 95")), "{seen:#?}");
            prop_assert_eq!(seen.iter().any(|s| s.contains("traces of no row")), at % 2 == 0);
        }

        #[test]
        fn growth_holds_what_a_counter_really_grew_by(
            steps in prop::collection::vec((0.1f64..2.0, 0u32..5), 4..30),
            ends in (0.0f64..1.0, 0.0f64..1.0),
        ) {
            // True value at each instant is a step function between samples; samples are taken at
            // the steps.
            let (mut t, mut v, mut points) = (0.0, 0.0, Vec::new());
            for (dt, dv) in steps {
                t += dt;
                v += f64::from(dv);
                points.push((t, Some(v)));
            }
            let (first, last) = (points[0].0, t);
            let (a, b) = (first + ends.0.min(ends.1) * (last - first), first + ends.0.max(ends.1) * (last - first));
            let at = |x: f64| points.iter().rfind(|p| p.0 <= x).and_then(|p| p.1).unwrap_or(0.0);
            let series = [Series { labels: BTreeMap::new(), points: points.clone() }];
            let g = Growth::of(&series, a, b).unwrap();
            let really = at(b) - at(a);
            prop_assert!(g.least <= really && really <= g.most, "{g:?} {really}");
            prop_assert!(Growth::of(&series, first - 1.0, b).is_err() && Growth::of(&series, a, last + 1.0).is_err());
        }
    }

    #[test]
    fn a_counter_that_fell_tells_nothing() {
        let series = |v: [f64; 4]| {
            [Series {
                labels: BTreeMap::new(),
                points: v.iter().enumerate().map(|(i, v)| (i as f64, Some(*v))).collect(),
            }]
        };
        assert_eq!(
            Growth::of(&series([1.0, 1.0, 4.0, 4.0]), 0.5, 2.5),
            Ok(Growth { least: 3.0, most: 3.0 })
        );
        assert!(Growth::of(&series([5.0, 0.0, 4.0, 4.0]), 0.5, 2.5).unwrap_err().contains("fell"));
        assert!(Growth::of(&[], 0.5, 2.5).is_err());
    }
}
