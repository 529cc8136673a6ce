//! What people read of verdicts: the whole text of each on the golden histories, as it was agreed
//! on. A text that is to change is changed by `INSTA_UPDATE=always cargo test -p verdict texts`, and
//! read in the difference.

use super::golden::expectations;
use super::laws::RUNS;
use std::fmt::Write as _;
use verdict::{History, Verdict};

/// All of a verdict but the numbers of its witnesses.
fn text(v: &Verdict) -> String {
    let mut text = format!("{}: {}", v.id, v.status.word());
    let mut line = |name: &str, value: &str| write!(text, "\n  {name}: {value}").unwrap();
    line("expected", &v.expected);
    if let Some(cause) = v.cause {
        line("cause", &cause.name());
    }
    if let Some(stage) = v.stage() {
        line("stopped at", stage);
    }
    line("seen", &v.reason);
    for evidence in &v.evidence {
        line("evidence", &format!("{} {}", evidence.count, evidence.what));
    }
    if let Some(hint) = &v.hint {
        line("hint", hint);
    }
    text
}

fn texts(history: &History) -> Vec<String> {
    expectations().iter().map(|e| text(&e.judge(history))).collect()
}

/// Compares texts with those of `snapshots/NAME.snap`.
fn agreed(name: &str, texts: &[String]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, texts.join("\n\n")));
}

#[test]
fn verdicts_on_golden_histories_read_as_agreed() {
    let healthy = texts(&RUNS[0].1().history());
    agreed(RUNS[0].0, &healthy);
    for (name, run) in &RUNS[1..] {
        let all = texts(&run().history());
        let mut differ: Vec<String> =
            all.iter().zip(&healthy).filter(|(t, h)| t != h).map(|(t, _)| t.clone()).collect();
        assert!(!differ.is_empty(), "{name} is judged as the healthy run is");
        differ.push(format!("{} more: as healthy", all.len() - differ.len()));
        agreed(name, &differ);
    }
    agreed("nothing_recorded", &texts(&History::default()));
}
