//! firedrill proves that a monitoring stack notices.
//!
//! It starts the whole stack in containers, drives traffic through it, breaks things, records what was observed, and
//! judges that record: see `ARCHITECTURE.md` at the root of the repository for how the parts fit.

// What is printed shows no secret, whoever prints it: these stand in front of those of the standard library in every module below.
macro_rules! print {
    ($($what:tt)*) => { ::std::print!("{}", $crate::secret::scrub(&::std::format!($($what)*))) };
}
macro_rules! println {
    () => { ::std::println!() };
    ($($what:tt)*) => { ::std::println!("{}", $crate::secret::scrub(&::std::format!($($what)*))) };
}
macro_rules! eprintln {
    () => { ::std::eprintln!() };
    ($($what:tt)*) => { ::std::eprintln!("{}", $crate::secret::scrub(&::std::format!($($what)*))) };
}

pub mod annotation;
pub mod authority;
pub mod baseline;
pub mod binaries;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod comparison;
pub mod compose;
pub mod containment;
pub mod coverage;
pub mod dashboards;
pub mod declaration;
pub mod drill;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod features;
pub mod gate;
pub mod home;
pub mod image;
pub mod interrupt;
pub mod journal;
pub mod lint;
pub mod monitoring;
pub mod mutation;
pub mod overriding;
pub mod plan;
pub mod preflight;
pub mod probe;
pub mod progress;
pub mod provision;
pub mod reaper;
pub mod receiver;
pub mod record;
pub mod report;
pub mod sabotage;
pub mod scenario;
pub mod secret;
pub mod stack;
pub mod steps;
pub mod subject;
pub mod timescale;
pub mod trend;
pub mod worker_containers;
pub mod yaml;
