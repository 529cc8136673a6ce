//! Gates' files, with the command lines that they hold.

#![allow(clippy::unwrap_used)]
use super::check_line;
use crate::ops::gate::{Filled, Gate};
use crate::process::failure::UserError;
use std::path::Path;
use std::time::Duration;

fn read(text: &str) -> Result<Gate, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Gate::read(file.path(), check_line).map_err(|e| e.advice().to_string())
}

fn one(step: &str) -> Result<Gate, String> {
    read(&format!("schema: 1\nabout: a test\nhours: 2\nsteps:\n  - {{{step}}}\n"))
}

#[test]
fn ours_are_whole() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    for name in ["release", "nightly"] {
        let gate = Gate::read(&Gate::find(name, &scenarios).unwrap(), check_line).unwrap();
        assert!(gate.steps.len() >= 3, "{name}");
    }
    assert!(Gate::find("relaese", &scenarios).unwrap_err().hint.contains("did you mean release?"));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
    for (step, says) in [
        ("name: a, run: vrify", &["vrify", "hint: "][..]),
        ("name: a, run: verify --tim-scale 5", &["--tim-scale"]),
        ("name: a, run: down --all", &["judges nothing"]),
        ("name: a, run: verify --keep", &["--keep"]),
        ("name: a, run: verify --report x", &["--report"]),
        ("name: a, run: gate release", &["judges nothing"]),
        ("name: a, run: lint, share: 2", &["wanted above 0 and at most 1"]),
        ("name: a, run: 'load --duration {share}'", &["{share} stands for nothing"]),
        ("name: a, run: lint, allow: [unknown]", &["come together"]),
        ("name: a, run: lint, because: so", &["come together"]),
        ("name: a, run: lint, allow: [interrupted], because: so", &["unknown value `interrupted`"]),
        ("name: a, run: lint, within: 90", &["no duration"]),
        ("name: ../a, run: lint", &["can't name a folder"]),
        ("name: a, run: lint, othrwise: stop", &["did you mean `otherwise`?"]),
    ] {
        let error = one(step).unwrap_err();
        for words in says {
            assert!(error.contains(words), "{step}: {words:?} is not said: {error}");
        }
        assert!(error.contains(":5"), "{step}: the line is not said: {error}");
    }
    assert!(
        read("schema: 1\nabout: x\nsteps: []\n").unwrap_err().contains("nothing would be shown")
    );
    assert!(
        read("schema: 2\nabout: x\nsteps: [{name: a, run: lint}]\n")
            .unwrap_err()
            .contains("seen 2, wanted 1")
    );
    let twice = "schema: 1\nabout: x\nhours: 1\nsteps: [{name: a, run: lint, share: 0.6}, {name: b, run: lint, share: 0.6}]\n";
    assert!(read(twice).unwrap_err().contains("come to 1.20"));
    let same = "schema: 1\nabout: x\nsteps: [{name: a, run: lint}, {name: a, run: lint}]\n";
    assert!(read(same).unwrap_err().contains("there twice"));
}

#[test]
fn placeholders_stand_for_what_they_say_and_a_folder_with_spaces_is_one_word() {
    let gate = one("name: a, run: 'run {drill} --stack {stack}', share: 0.5").unwrap();
    let with = Filled {
        stack: "my shop",
        share: Some(Duration::from_secs(3600)),
        drill: Some("redis_slow"),
    };
    assert_eq!(gate.steps[0].words(with), ["run", "redis_slow", "--stack", "my shop"]);
    assert!(gate.steps[0].draws_drills() && gate.steps[0].repeats());
    let soak = one("name: a, run: 'load {stack} --duration {share}', share: 0.5").unwrap();
    assert_eq!(soak.steps[0].words(with)[3], "3600s");
    assert!(!soak.steps[0].repeats());
}
