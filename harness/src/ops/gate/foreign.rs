//! Gates as nobody should write them.

use super::{Filled, Gate};
use crate::process::failure::Advice;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use std::time::Duration;

const GATES: &[&str] = &[
    include_str!("../../../../scenarios/release.yaml"),
    include_str!("../../../../scenarios/nightly.yaml"),
];

/// Accepts what begins with a word of letters, as each command does.
fn check_line(words: &[String]) -> Result<(), Advice> {
    let named = |word: &String| word.chars().all(|c| c.is_ascii_alphabetic());
    words.first().is_some_and(named).then_some(()).ok_or_else(|| "there is no command".into())
}

fn gate_is_read(text: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.yaml");
    std::fs::write(&file, text).expect("a file");
    match Gate::read(&file, check_line) {
        Err(error) => {
            assert!(error.place.file == file && !error.problem.is_empty(), "{error:?}");
            false
        }
        Ok(gate) => {
            for step in &gate.steps {
                step.bound();
                step.repeats();
                for share in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
                    let filled = Filled { stack: &gate.stack, share, drill: None };
                    assert!(check_line(&step.words(filled)).is_ok(), "{:?}", step.run);
                }
            }
            true
        }
    }
}

#[test]
fn what_is_damaged_below_is_read_as_long_as_it_is_whole() {
    assert!(GATES.iter().all(|text| gate_is_read(text)));
}

proptest! {
    #![proptest_config(damaged::cases(60))]

    #[test]
    fn a_damaged_gate(text in damaged(GATES)) {
        gate_is_read(&text);
    }

    #[test]
    fn anything_in_place_of_a_gate(text in anything()) {
        gate_is_read(&text);
    }
}

#[test]
fn gates_that_nest_deeply_are_read_or_refused() {
    deep().for_each(|text| {
        gate_is_read(&text);
    });
}
