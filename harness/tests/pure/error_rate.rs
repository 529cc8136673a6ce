//! How often the gate errs, found by giving it runs of the e-mail stack that did not change: a run
//! is drawn from those that were recorded, and its operations from the run's, so that both vary as
//! they do. At night (`FIREDRILL_NIGHTLY=1`) runs are made for it. To keep other runs:
//!
//!     FIREDRILL_RUNS=report/<run>:report/<run>:… cargo test -p firedrill --test pure error_rate::

#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use support::broken::Broken;
use support::is_set;
use verdict::check::proportion;
use verdict::gate::bootstrap::{SplitMix, spread};
use verdict::gate::error_rate::{Tally, resampled};
use verdict::gate::{Compared, Question, power};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pure/error_rate/runs.json");
/// Steps whose operations are recorded.
const STEPS: [&str; 2] = ["send_mail/send", "list/list"];
/// Warm-up of the gate of the runs, which does not count, seconds.
const WARM_UP_S: f64 = 75.0;
/// Runs that are made at night, over three minutes each.
const MADE: usize = 6;
/// How often the gate is asked.
const ASKED: u64 = 400;
/// Chance below which what the gate did is no accident.
const ACCIDENT: f64 = 0.001;

/// Latencies of one step in the window of each run, microseconds, as histograms (V2, deflated) in
/// Base64.
#[derive(Serialize, Deserialize)]
struct Recorded {
    about: String,
    steps: BTreeMap<String, Vec<String>>,
}

/// Latencies of a recorded run's operations of a step within its window.
fn histogram(folder: &Path, step: &str) -> Histogram<u64> {
    let history = firedrill::record::read(folder).unwrap();
    let (from, to) = verdict::summary::window(&history, WARM_UP_S).expect("a window");
    let mut histogram = Histogram::new(3).unwrap();
    let mine = history
        .operations()
        .filter(|(_, o)| o.is_step(step) && (from..to).contains(&o.due.wall_s()));
    mine.for_each(|(_, o)| histogram.record((o.latency_ms() * 1e3) as u64).unwrap());
    histogram
}

/// What the runs in these folders measured.
fn taken(folders: &[PathBuf]) -> Recorded {
    let packed = |folder: &PathBuf, step: &str| {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&histogram(folder, step), &mut bytes).unwrap();
        STANDARD.encode(bytes)
    };
    let all = |step: &str| folders.iter().map(|folder| packed(folder, step)).collect();
    Recorded {
        about: "latency from the intended start, microseconds, of healthy runs of the e-mail stack: one histogram a run".into(),
        steps: STEPS.iter().map(|step| ((*step).to_owned(), all(step))).collect(),
    }
}

/// Runs that are made now, of the stack as it is, each on a stack of its own.
fn made() -> Recorded {
    let copy = Broken::copy_of("email");
    copy.without_drill();
    let mut record = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    record
        .args(["baseline", "record"])
        .arg(copy.folder())
        .args(["--runs", &MADE.to_string(), "--report"])
        .arg(copy.report());
    let output = record.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // One that measured nothing is there, too, and no baseline.
    let kept = std::fs::read_to_string(copy.folder().join("baseline-recorded.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let ids = kept["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap());
    let folders: Vec<PathBuf> = ids.map(|id| copy.report().join(id)).collect();
    assert_eq!(folders.len(), MADE);
    taken(&folders)
}

/// The runs: those that are named, which are kept; at night new ones; else those that were kept.
static RECORDED: LazyLock<Recorded> = LazyLock::new(|| {
    if let Ok(folders) = std::env::var("FIREDRILL_RUNS") {
        let recorded = taken(&folders.split(':').map(PathBuf::from).collect::<Vec<_>>());
        std::fs::write(FILE, serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
        return recorded;
    }
    if is_set("FIREDRILL_NIGHTLY") {
        return made();
    }
    serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap()
});

/// Latencies of each recorded run.
fn runs(step: &str) -> Vec<Vec<f64>> {
    let unpacked = |text: &String| -> Vec<f64> {
        let bytes = STANDARD.decode(text).unwrap();
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        histogram
            .iter_recorded()
            .flat_map(|v| {
                std::iter::repeat_n(v.value_iterated_to() as f64, v.count_at_value() as usize)
            })
            .collect()
    };
    RECORDED.steps[step].iter().map(unpacked).collect()
}

/// The median of a run that is drawn from the recorded ones, as are its operations from that run's.
fn median(runs: &[Vec<f64>], random: &mut SplitMix) -> f64 {
    let run = &runs[random.below(runs.len())];
    let mut drawn: Vec<f64> = run.iter().map(|_| run[random.below(run.len())]).collect();
    let middle = drawn.len() / 2;
    *drawn.select_nth_unstable_by(middle, f64::total_cmp).1
}

fn question(practical: f64, alpha: f64) -> Question {
    Question {
        compared: Compared::Ratio,
        better: verdict::gate::Better::Lower,
        practical,
        alpha,
        power: 0.9,
    }
}

fn asked(question: &Question, of: &[Vec<f64>], runs: usize, factor: f64) -> Tally {
    resampled(question, |random| median(of, random), runs, factor, ASKED, 7)
}

#[test]
fn a_release_that_is_the_same_fails_as_rarely_as_stated() {
    for step in STEPS {
        let recorded = runs(step);
        assert!(
            recorded.len() >= 3 && recorded.iter().all(|run| run.len() > 100),
            "too few operations of {step}"
        );
        for (alpha, runs) in [(0.05, 5), (0.01, 8)] {
            // Without a practical threshold, which only makes failing rarer, the interval alone
            // must keep to alpha.
            let tally = asked(&question(1e-9, alpha), &recorded, runs, 1.0);
            let chance =
                proportion::two_sided(tally.worse, tally.asked, alpha).expect("alpha is a chance");
            assert!(
                chance > ACCIDENT,
                "{step}, alpha {alpha}, {runs} runs: {tally:?}, chance {chance:.5}"
            );
        }
    }
}

#[test]
fn a_release_that_is_slower_by_a_tenth_is_found_with_the_stated_power() {
    for step in STEPS {
        let recorded = runs(step);
        let question = question(0.05, 0.01);
        let mut random = SplitMix(1);
        let medians: Vec<f64> = (0..200).map(|_| median(&recorded, &mut random).ln()).collect();
        let runs = power::runs(spread(&medians), 1.1f64.ln(), question.alpha, question.power)
            .expect("a few runs do");
        let tally = asked(&question, &recorded, runs, 1.1);
        let share = tally.worse as f64 / tally.asked as f64;
        let chance = proportion::two_sided(tally.worse, tally.asked, question.power)
            .expect("power is a chance");
        assert!(
            share > question.power || chance > ACCIDENT,
            "{step}, {runs} runs: {tally:?}, chance {chance:.5}"
        );
    }
}
