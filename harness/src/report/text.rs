//! The report on a terminal: what went wrong first and in full, then what holds, like verdicts in
//! one line; the result last.

mod compared;
mod coverage;
mod mutation;

use super::{Report, ReportedVerdict};
use std::fmt::Write as _;
use verdict::check::alerts::StageRow;
use verdict::summary::{
    AlertRow, DeviationKind, FailureGroup, ProvedBy, Section, VerdictGroup, outline, slowest_stage,
};
use verdict::{Evidence, Status};

/// Longest text of a line that tells of a pass, characters; the page has it whole.
const WIDTH: usize = 110;
/// Most verdicts that are named beside one that went wrong for the same reason.
const OTHERS: usize = 4;

/// One verdict in full.
pub fn verdict(told: &ReportedVerdict, report: &Report) -> String {
    trouble(&FailureGroup { first: told, others: Vec::new() }, report)
}

fn trouble(trouble: &FailureGroup<'_>, report: &Report) -> String {
    let told = trouble.first;
    let mut out = String::new();
    let scale = if report.run.time_scale == 1.0 {
        String::new()
    } else {
        format!(", time scale {}", report.run.time_scale)
    };
    let _ =
        writeln!(out, "{}: {} ({}{scale})", told.status.word(), told.expected, report.run.stack);
    let label =
        if matches!(told.status, Status::Fail | Status::Waived) { "seen" } else { "because" };
    let _ = writeln!(out, "  {label}: {}", told.reason);
    let stopped = told.stopped_at.as_ref().map(|s| format!("stopped at: {s}"));
    let cause = told.cause.map(|c| format!("cause: {}", c.name()));
    let witnesses = (!told.witnesses.is_empty()).then(|| {
        format!(
            "witnesses: events {} of run {}",
            some(told.witnesses.iter().map(u64::to_string), 5),
            report.run.id
        )
    });
    let line: Vec<String> = [stopped, cause, witnesses].into_iter().flatten().collect();
    if !line.is_empty() {
        let _ = writeln!(out, "  {}", line.join("; "));
    }
    let _ = writeln!(
        out,
        "  told in: {} [{}]",
        [told.place.as_str(), told.scenario.as_str()].join(" ").trim(),
        told.id
    );
    if !trouble.others.is_empty() {
        let _ = writeln!(
            out,
            "  for the same reason: {}",
            some(trouble.others.iter().map(|t| t.id.clone()), OTHERS)
        );
    }
    if let Some(hint) = &told.hint {
        let _ = writeln!(out, "hint: {hint}");
    }
    out
}

/// The first `most` of a list, and how many there are beyond.
fn some(items: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let beyond = items.len().saturating_sub(most);
    let shown: Vec<String> = items.take(most).collect();
    if beyond == 0 { shown.join(", ") } else { format!("{} and {beyond} more", shown.join(", ")) }
}

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let outline = outline(&report.verdicts);
    for t in &outline.troubles {
        let _ = writeln!(out, "\n{}", trouble(t, report).trim_end());
    }
    if report.compared.is_empty() {
        outline.sections.iter().for_each(|section| features(section, &mut out));
    } else {
        compared::render(&report.compared, &mut out);
    }
    alerts(report, &mut out);
    coverage::render(report, &mut out);
    mutation::render(report, &mut out);
    figures(report, &mut out);
    if !outline.skipped.is_empty() {
        let _ = writeln!(out, "\nSkipped");
        for told in &outline.skipped {
            let _ = writeln!(out, "  {}: {}", told.scenario, told.reason);
        }
    }
    deviations(report, &mut out);
    last(report, &outline.troubles, &mut out);
    out
}

/// What `firedrill alerts` prints: what went wrong, each alert from its cause to its end, and the
/// result.
pub fn alerts_only(report: &Report) -> String {
    let mut out = String::new();
    let outline = outline(&report.verdicts);
    for t in &outline.troubles {
        let _ = writeln!(out, "\n{}", trouble(t, report).trim_end());
    }
    let all: Vec<_> = report.alerts.iter().collect();
    rows("Alerts, from their cause to their end", &all, report, &mut out);
    for deviation in report.run.deviations.iter().filter(|d| d.kind == DeviationKind::Overridden) {
        let _ = writeln!(out, "  {}: {}", deviation.what, deviation.why);
    }
    let _ = write!(out, "\n{}", coverage::table(report));
    coverage::render(report, &mut out);
    mutation::render(report, &mut out);
    timings(report, &mut out);
    last(report, &outline.troubles, &mut out);
    out
}

fn features(section: &Section<'_>, out: &mut String) {
    let _ = writeln!(out, "\n{}", section.feature);
    for fold in &section.folds {
        let _ = match fold.status {
            Status::Pass => writeln!(out, "  pass: {}{}", clipped(&fold.text), rests_on(fold)),
            Status::Waived => writeln!(
                out,
                "  waived: {}; {}",
                fold.text,
                fold.verdicts.first().map_or("", |t| &t.reason)
            ),
            _ => Ok(()),
        };
    }
    for status in [Status::Fail, Status::Unknown] {
        let told: Vec<String> = section
            .folds
            .iter()
            .filter(|f| f.status == status)
            .flat_map(|f| &f.verdicts)
            .map(|t| t.id.clone())
            .collect();
        if !told.is_empty() {
            let _ = writeln!(
                out,
                "  {}, as told above: {}",
                status.word(),
                some(told.into_iter(), OTHERS)
            );
        }
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

fn rests_on(fold: &VerdictGroup<'_>) -> String {
    let evidence: Vec<String> =
        fold.evidence.iter().map(|Evidence { what, count }| format!("{count} {what}")).collect();
    if evidence.is_empty() { String::new() } else { format!(" ({})", evidence.join(", ")) }
}

fn seconds(s: Option<f64>) -> String {
    s.map_or("-".to_owned(), |s| format!("{s:.1} s"))
}

fn alerts(report: &Report, out: &mut String) {
    let drilled: Vec<_> = report.alerts.iter().filter(|a| !a.drills.is_empty()).collect();
    if !drilled.is_empty() {
        rows("Alerts under their fault", &drilled, report, out);
    }
}

fn rows(title: &str, alerts: &[&AlertRow], report: &Report, out: &mut String) {
    let width = alerts.iter().map(|a| a.rule.chars().count()).max().unwrap_or(0);
    let _ = writeln!(out, "\n{title}");
    for a in alerts {
        if a.drills.is_empty() {
            let _ = writeln!(out, "  {:<width$}  not proved: no drill is about it", a.rule);
            continue;
        }
        let resolved = if a.resolved { "resolved" } else { "not seen to resolve" };
        let stopped =
            a.stopped_at.as_ref().map(|s| format!("; stopped at: {s}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "  {:<width$}  {:<20} fires after {:>6}, notified after {:>6} of {:>6}, {resolved}: {}{stopped}",
            a.rule,
            a.proved_by.map_or("not proved", ProvedBy::name),
            seconds(a.detect_s),
            seconds(a.notify_s),
            seconds(a.budget_s),
            a.receivers.join(" ")
        );
        for row in a.stages.iter().filter(|row| row.over_s > 0.0) {
            let _ = writeln!(out, "  {:<width$}  {}", "", stage(row));
        }
    }
    if let Some((alert, row)) = slowest_stage(alerts.iter().copied()) {
        let _ =
            writeln!(out, "  the slowest stage for its time is of {}: {}", alert.rule, stage(row));
    }
    let p = report.proved;
    let by = [
        (p.real_cause, "by a real cause"),
        (p.overridden_threshold, "by an overridden threshold"),
        (p.synthetic_signal, "by a synthetic signal"),
    ];
    let how: Vec<String> =
        by.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{n} {how}")).collect();
    let proved = p.real_cause + p.overridden_threshold + p.synthetic_signal;
    let how = if how.is_empty() { String::new() } else { format!(": {}", how.join(", ")) };
    let _ = writeln!(out, "  {proved} of {} alerts are proved{how}", proved + p.not_proved);
}

fn stage(row: &StageRow) -> String {
    format!(
        "{} took {} of {}",
        row.stage,
        seconds(Some(row.measured_s)),
        seconds(Some(row.allowed_s))
    )
}

fn figures(report: &Report, out: &mut String) {
    if !report.ledger.is_empty() {
        let width = report.ledger.iter().map(|l| l.signal.chars().count()).max().unwrap_or(0);
        let _ = writeln!(out, "\nLedger");
        for l in &report.ledger {
            let lost = l.lost.map_or_else(
                || "the others left out by the sampler".to_owned(),
                |n| format!("{n} lost"),
            );
            let _ = writeln!(
                out,
                "  {:<width$}  {} acknowledged, {} stored, {lost}, {} duplicated, 99 % followed within {}",
                l.signal,
                l.sent,
                l.stored,
                l.duplicated,
                seconds(l.late_p99_s)
            );
        }
    }
    if let Some(load) = &report.load {
        let l = load.latency_ms;
        let _ = writeln!(out, "\nLoad, faults included");
        let _ = writeln!(
            out,
            "  {:.1} of {:.1} operations a second, {} in all, slip P99 {:.1} ms; latency P50 {:.1} P90 {:.1} P99 {:.1} max {:.0} ms",
            load.achieved_rate,
            load.offered_rate,
            load.operations,
            load.slip_p99_ms,
            l.p50,
            l.p90,
            l.p99,
            l.max
        );
        if let Some(invalid) = &load.invalid {
            let _ = writeln!(out, "  it can't be relied on: {invalid}");
        }
    }
    timings(report, out);
}

fn timings(report: &Report, out: &mut String) {
    let t = &report.timings;
    let parts = [
        ("images", t.images_s),
        ("up", t.up_s),
        ("drive", t.drive_s),
        ("capture", t.capture_s),
        ("down", t.down_s),
    ];
    let known: Vec<String> =
        parts.iter().filter_map(|(name, s)| s.map(|s| format!("{name} {s:.1} s"))).collect();
    if !known.is_empty() {
        let _ = writeln!(out, "\nTimings\n  {}", known.join(", "));
    }
}

fn deviations(report: &Report, out: &mut String) {
    let all = &report.run.deviations;
    let count = |kind: DeviationKind, word: &str| {
        let n = all.iter().filter(|d| d.kind == kind).count();
        (n > 0).then(|| format!("{n} {word}"))
    };
    use DeviationKind::{Absent, Image, NotScaled, Overridden, RunAgain, System};
    let kinds: Vec<String> = [
        count(System, "of the stack"),
        count(Absent, "absent"),
        count(Image, "of images"),
        count(Overridden, "rules changed for a drill"),
        count(NotScaled, "not scaled"),
        count(RunAgain, "drills run again"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !kinds.is_empty() {
        let _ = writeln!(
            out,
            "\nDeviations from the described system: {}, each with its reason in report.html",
            kinds.join(", ")
        );
    }
}

fn last(report: &Report, troubles: &[FailureGroup<'_>], out: &mut String) {
    let s = report.summary;
    let unfinished = if report.run.complete { "" } else { ", cut short" };
    let _ = writeln!(
        out,
        "\n{}: {} passed, {} failed, {} unknown, {} skipped, {} waived; run {} of {} took {:.0} s{unfinished} (seed {})",
        report.glance.outcome.word(),
        s.passed,
        s.failed,
        s.unknown,
        s.skipped,
        s.waived,
        report.run.id,
        report.run.stack,
        report.run.duration_s,
        report.run.seed
    );
    for t in troubles.iter().take(OTHERS) {
        let more = if t.others.is_empty() {
            String::new()
        } else {
            format!(" and {} more", t.others.len())
        };
        let _ = writeln!(out, "  {}: {}{more}", t.first.status.word(), t.first.id);
    }
    if troubles.len() > OTHERS {
        let _ = writeln!(out, "  and {} more reasons above", troubles.len() - OTHERS);
    }
    if report.glance.outcome != Status::Pass {
        let _ = writeln!(out, "again with: {}", report.run.replay);
    }
}
