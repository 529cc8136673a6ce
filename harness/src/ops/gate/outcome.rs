//! What the steps' ends come to: one exit code.

use super::Allowed;
use crate::process::exit::Exit;
use serde::{Deserialize, Serialize};

/// Exit codes from the worst to the best. Being asked to stop comes first, then what makes
/// everything else doubtful (a defect of ours, wrong files), then what was shown not to hold, then
/// what could not be shown.
pub const ORDER: [Exit; 7] = [
    Exit::Interrupted,
    Exit::Defect,
    Exit::Usage,
    Exit::Fail,
    Exit::Unfit,
    Exit::Unknown,
    Exit::Pass,
];

/// What a step comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every run of it passed.
    Pass,
    /// It did not pass, in a way that is allowed.
    Allowed,
    /// Something does not hold.
    Fail,
    /// Something could not be judged.
    Unknown,
    /// The machine can't do it.
    Unfit,
    /// Its files or arguments are wrong.
    Usage,
    /// A defect of ours.
    Defect,
    /// It was interrupted.
    Interrupted,
    /// It was not begun.
    NotRun,
}

/// The end that an exit code of a process tells. One that we never end with, or a signal, is a
/// defect.
pub fn exit_of(code: Option<i32>) -> Exit {
    ORDER.into_iter().find(|e| code == Some(*e as i32)).unwrap_or(Exit::Defect)
}

/// The worst of some exits; a pass for none.
pub fn worst(exits: impl IntoIterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| ORDER.iter().position(|o| o == exit);
    exits.into_iter().min_by_key(rank).unwrap_or(Exit::Pass)
}

/// What a step comes to whose runs ended so.
pub fn of_step(exits: &[Exit], allow: &[Allowed]) -> Outcome {
    if exits.is_empty() {
        return Outcome::NotRun;
    }
    let allowed = |exit: &Exit| match exit {
        Exit::Fail => allow.contains(&Allowed::Fail),
        Exit::Unknown => allow.contains(&Allowed::Unknown),
        Exit::Unfit => allow.contains(&Allowed::Unfit),
        _ => false,
    };
    match worst(exits.iter().copied().filter(|e| !allowed(e))) {
        Exit::Pass if exits.iter().any(allowed) => Outcome::Allowed,
        Exit::Pass => Outcome::Pass,
        Exit::Fail => Outcome::Fail,
        Exit::Unknown => Outcome::Unknown,
        Exit::Unfit => Outcome::Unfit,
        Exit::Usage => Outcome::Usage,
        Exit::Defect => Outcome::Defect,
        Exit::Interrupted => Outcome::Interrupted,
    }
}

/// What the steps come to: the worst. Where no step passed, or one was not begun, it is unknown at
/// best.
pub fn of_gate(steps: &[Outcome]) -> Exit {
    let exit = |outcome: &Outcome| match outcome {
        Outcome::Pass | Outcome::Allowed => Exit::Pass,
        Outcome::Fail => Exit::Fail,
        Outcome::Unknown | Outcome::NotRun => Exit::Unknown,
        Outcome::Unfit => Exit::Unfit,
        Outcome::Usage => Exit::Usage,
        Outcome::Defect => Exit::Defect,
        Outcome::Interrupted => Exit::Interrupted,
    };
    let nothing = (!steps.contains(&Outcome::Pass)).then_some(Exit::Unknown);
    worst(steps.iter().map(exit).chain(nothing))
}

impl Outcome {
    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Allowed => "allowed",
            Outcome::Fail => "fail",
            Outcome::Unknown => "unknown",
            Outcome::Unfit => "unfit",
            Outcome::Usage => "usage",
            Outcome::Defect => "defect",
            Outcome::Interrupted => "interrupted",
            Outcome::NotRun => "not run",
        }
    }

    /// The colour that it is shown in.
    pub fn class(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Allowed => "waived",
            Outcome::Fail | Outcome::Defect | Outcome::Usage => "fail",
            Outcome::NotRun => "skipped",
            _ => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exit_code_for_all() {
        use Outcome::{
            Allowed as Ok, Defect, Fail, Interrupted, NotRun, Pass, Unfit, Unknown, Usage,
        };
        for (steps, wanted) in [
            (&[Pass, Pass][..], Exit::Pass),
            (&[Pass, Ok], Exit::Pass),
            (&[], Exit::Unknown),
            (&[Ok], Exit::Unknown),
            (&[Pass, NotRun], Exit::Unknown),
            (&[Pass, Unknown], Exit::Unknown),
            (&[Unknown, Unfit], Exit::Unfit),
            (&[Unfit, Fail, Pass], Exit::Fail),
            (&[Fail, NotRun], Exit::Fail),
            (&[Fail, Usage], Exit::Usage),
            (&[Usage, Defect], Exit::Defect),
            (&[Defect, Interrupted], Exit::Interrupted),
        ] {
            assert_eq!(of_gate(steps), wanted, "{steps:?}");
            let turned: Vec<Outcome> = steps.iter().rev().copied().collect();
            assert_eq!(of_gate(&turned), wanted, "the order changes nothing: {steps:?}");
        }
    }

    #[test]
    fn only_what_is_allowed_is_allowed() {
        let step = |exits: &[Exit]| of_step(exits, &[Allowed::Unknown]);
        assert_eq!(step(&[Exit::Pass, Exit::Pass]), Outcome::Pass);
        assert_eq!(step(&[Exit::Pass, Exit::Unknown]), Outcome::Allowed);
        assert_eq!(step(&[Exit::Unknown, Exit::Fail]), Outcome::Fail);
        assert_eq!(step(&[Exit::Unfit]), Outcome::Unfit);
        assert_eq!(step(&[]), Outcome::NotRun);
        assert_eq!(of_step(&[Exit::Unknown], &[]), Outcome::Unknown);
        // An interrupt is never allowed.
        assert_eq!(
            of_step(&[Exit::Interrupted], &[Allowed::Fail, Allowed::Unknown, Allowed::Unfit]),
            Outcome::Interrupted
        );
    }

    #[test]
    fn an_end_that_we_never_come_to_is_a_defect() {
        for exit in ORDER {
            assert_eq!(exit_of(Some(exit as i32)), exit);
        }
        assert_eq!([exit_of(None), exit_of(Some(101)), exit_of(Some(-1))], [Exit::Defect; 3]);
    }
}
