//! What is wrong, and what to do about it: two things, until they are printed.

use super::exit::Exit;
use std::fmt::{self, Display, Formatter};

/// What is wrong, and what to do about it; `Display` is both, as a user reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice {
    pub what: String,
    /// What to do; each has a line of its own.
    pub hints: Vec<String>,
}

/// An error that a user may have to deal with. Its `Display` says what is wrong, and no more.
pub trait UserError: Display {
    /// How the process ends if nobody handles it.
    fn exit(&self) -> Exit;

    /// What to do about it.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong, and what to do.
    fn advice(&self) -> Advice {
        Advice { what: self.to_string(), hints: self.hints() }
    }
}

impl Advice {
    /// What an error of a load says, and its hint.
    pub fn of_load(error: &impl loadgen::Advised) -> Advice {
        Advice { what: error.to_string(), hints: error.hint().into_iter().collect() }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Advice {
        self.hints.push(hint.into());
        self
    }

    /// Both in one line, for a reason within a sentence.
    pub fn in_one_line(&self) -> String {
        self.to_string().replace('\n', "; ")
    }

    /// Says before what is wrong where, or with what.
    pub fn within(self, place: impl Display) -> Advice {
        Advice { what: format!("{place}: {}", self.what), hints: self.hints }
    }
}

impl Display for Advice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for Advice {}

impl From<String> for Advice {
    fn from(what: String) -> Advice {
        Advice { what, hints: Vec::new() }
    }
}

impl From<&str> for Advice {
    fn from(what: &str) -> Advice {
        what.to_owned().into()
    }
}

impl<E: UserError> From<E> for Advice {
    fn from(error: E) -> Advice {
        error.advice()
    }
}

/// A parser of an option's value by one of a load: a command line that can't be read says what is
/// wrong and what to do.
pub fn option<T, E: loadgen::Advised>(
    read: impl Fn(&str) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<T, Advice> + Clone + Send + Sync + 'static {
    move |text| read(text).map_err(|error| Advice::of_load(&error))
}

/// What a command ends with if it can't be carried out.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong, and what to do.
    pub advice: Advice,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: Exit, advice: impl Into<Advice>) -> Failure {
        Failure { advice: advice.into(), exit }
    }

    /// A failure by an error that is not one of ours: its text is all that is known.
    pub fn foreign(exit: Exit, error: impl Display) -> Failure {
        Failure::new(exit, error.to_string())
    }

    /// A failure by an error of a load, which has its hint apart as ours do.
    pub fn of_load(exit: Exit, error: impl loadgen::Advised) -> Failure {
        Failure::new(exit, Advice::of_load(&error))
    }

    /// A failure of the user's: usage or configuration.
    pub fn usage(advice: impl Into<Advice>) -> Failure {
        Failure::new(Exit::Usage, advice)
    }

    /// Adds what to do.
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { advice: self.advice.hint(hint), exit: self.exit }
    }
}

impl<E: UserError> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { exit: error.exit(), advice: error.advice() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.advice.fmt(f)
    }
}

impl UserError for config::yaml::ConfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn advice(&self) -> Advice {
        Advice { what: format!("{}: {}", self.place, self.problem), hints: self.hints() }
    }

    fn hints(&self) -> Vec<String> {
        if self.hint.is_empty() { Vec::new() } else { vec![self.hint.clone()] }
    }
}

impl UserError for config::timescale::ScaleError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec![self.hint().into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no room")]
    struct NoRoom;

    impl UserError for NoRoom {
        fn exit(&self) -> Exit {
            Exit::Unfit
        }

        fn hints(&self) -> Vec<String> {
            vec!["make room".into()]
        }
    }

    #[test]
    fn hints_stay_apart_from_what_is_wrong_and_are_printed_last() {
        let failure = Failure::from(NoRoom);
        assert_eq!(failure.exit, Exit::Unfit);
        assert_eq!(failure.to_string(), "no room\nhint: make room");
        let told = NoRoom.advice().within("disk").hint("or take a larger one");
        assert_eq!(told.to_string(), "disk: no room\nhint: make room\nhint: or take a larger one");
        assert_eq!(Failure::new(Exit::Usage, "no such stack").to_string(), "no such stack");
        let of_load = Failure::of_load(Exit::Usage, loadgen::Advice::new("no rate", "as in 5"));
        assert_eq!(of_load.advice.hints, ["as in 5"]);
        assert_eq!(of_load.to_string(), "no rate\nhint: as in 5");
        let read = option(loadgen::arrival::duration);
        assert_eq!(read("10").expect_err("no unit").hints, ["write it as 500ms, 10s, 2m or 1h"]);
    }
}
