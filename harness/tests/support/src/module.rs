//! Test programs of several modules. Each module runs in a process of its own, one after the
//! other: what it states for the whole process, and what becomes of that process, is no concern of
//! the next. Names begin with the module's (`lint::our_stacks_are_clean`), so that the filter
//! `lint::` runs one.

use crate::is_set;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, ExitCode};

/// States to a process which module it runs.
const ONLY: &str = "FIREDRILL_TEST_MODULE";
/// A test program's exit code when something failed.
const FAILED: u8 = 101;

type Work = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// One test.
pub struct Test {
    name: String,
    ignored: bool,
    work: Work,
}

impl Test {
    pub fn new(
        name: impl Into<String>,
        work: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Test {
        Test { name: name.into(), ignored: false, work: Box::new(work) }
    }

    /// One that awaits; what it finds wrong it says by a panic.
    pub fn awaited<W: Future<Output = ()>>(
        name: &str,
        work: impl FnOnce() -> W + Send + 'static,
    ) -> Test {
        Test::new(name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|error| Failed::from(error.to_string()))?;
            runtime.block_on(work());
            Ok(())
        })
    }

    /// A test of the night, made from its name. By day it is shown as ignored, with what runs it.
    pub fn nightly(name: &str, make: impl FnOnce(&str) -> Test) -> Test {
        if is_set("FIREDRILL_NIGHTLY") {
            return make(name);
        }
        let shown = format!("{name} (nightly: FIREDRILL_NIGHTLY=1 runs it)");
        Test::new(shown, || Ok(())).ignored_if(true)
    }

    pub fn ignored_if(self, ignored: bool) -> Test {
        Test { ignored, ..self }
    }

    fn of(self, module: &str) -> Trial {
        let name = format!("{module}::{}", self.name);
        Trial::test(name, self.work).with_ignored_flag(self.ignored)
    }
}

/// For programs of one module, which run their tests themselves.
impl From<Test> for Trial {
    fn from(test: Test) -> Trial {
        Trial::test(test.name, test.work).with_ignored_flag(test.ignored)
    }
}

/// The tests of a module.
pub struct Tests {
    tests: Vec<Test>,
    one_by_one: bool,
    at_last: Box<dyn FnOnce() -> Result<(), String>>,
}

impl Tests {
    /// Tests that bear each other.
    pub fn side_by_side(tests: impl IntoIterator<Item = Test>) -> Tests {
        let tests = tests.into_iter().collect();
        Tests { tests, one_by_one: false, at_last: Box::new(|| Ok(())) }
    }

    /// Tests that share a stack, or would take the processors from each other.
    pub fn one_by_one(tests: impl IntoIterator<Item = Test>) -> Tests {
        Tests { one_by_one: true, ..Tests::side_by_side(tests) }
    }

    /// What is done when all have ended, such as to take their stack away.
    pub fn at_last(self, work: impl FnOnce() -> Result<(), String> + 'static) -> Tests {
        Tests { at_last: Box::new(work), ..self }
    }
}

/// A module by its name.
pub type Module = (&'static str, fn() -> Tests);

/// The modules of a test program, each with a function `tests`.
#[macro_export]
macro_rules! modules {
    ($($module:ident),+ $(,)?) => {
        &[$((stringify!($module), $module::tests as fn() -> $crate::module::Tests)),+]
    };
}

/// Tests that await, by the names of their functions.
#[macro_export]
macro_rules! awaited {
    ($($test:path),+ $(,)?) => {
        [$($crate::module::Test::awaited(stringify!($test), $test)),+]
    };
}

/// Runs what the command line asks for.
pub fn run(modules: &[Module]) -> ExitCode {
    let arguments = Arguments::from_args();
    let only = std::env::var(ONLY).ok();
    let only = only.as_deref().or_else(|| named(modules, arguments.filter.as_deref()));
    if let Some(only) = only {
        return match modules.iter().find(|(name, _)| *name == only) {
            Some(module) => one(&arguments, *module),
            None => failed(&format!("no module {only}")),
        };
    }
    let mut all = ExitCode::SUCCESS;
    for (name, _) in modules {
        let ended = std::env::current_exe().and_then(|program| {
            Command::new(program).args(std::env::args_os().skip(1)).env(ONLY, name).status()
        });
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => all = failed(&format!("module {name} ended with {status}")),
            Err(error) => all = failed(&format!("module {name}: {error}")),
        }
    }
    all
}

/// The module whose tests alone a filter can mean.
fn named<'f>(modules: &[Module], filter: Option<&'f str>) -> Option<&'f str> {
    let (module, _) = filter?.split_once("::")?;
    modules.iter().any(|(name, _)| *name == module).then_some(module)
}

fn one(arguments: &Arguments, (name, tests): Module) -> ExitCode {
    let Tests { tests, one_by_one, at_last } = tests();
    let trials: Vec<Trial> = tests.into_iter().map(|test| test.of(name)).collect();
    // Of many modules most have nothing to say about a filter.
    let is_of_many = std::env::var_os(ONLY).is_some();
    if is_of_many && trials.iter().all(|trial| arguments.is_filtered_out(trial)) {
        return ExitCode::SUCCESS;
    }
    let test_threads = if one_by_one { Some(1) } else { arguments.test_threads };
    let conclusion = libtest_mimic::run(&Arguments { test_threads, ..arguments.clone() }, trials);
    match at_last() {
        Ok(()) => conclusion.exit_code(),
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_one_module_by_its_whole_name_only() {
        let none = || Tests::side_by_side([]);
        let modules: &[Module] = &[("lint", none), ("oracle", none)];
        assert_eq!(named(modules, Some("lint::")), Some("lint"));
        assert_eq!(named(modules, Some("oracle::verify mini: a::b")), Some("oracle"));
        for other in [None, Some("lint"), Some("int::a"), Some("::lint"), Some("stack::lint::")] {
            assert_eq!(named(modules, other), None, "{other:?}");
        }
    }

    #[test]
    fn a_test_is_known_by_its_module() {
        let trial = Test::new("a", || Ok(())).ignored_if(true).of("lint");
        assert_eq!((trial.name(), trial.has_ignored_flag()), ("lint::a", true));
    }
}
