//! firedrill proves that a monitoring stack notices.
//!
//! It starts the whole stack in containers, drives traffic through it, breaks things, records what
//! was observed, and judges that record: see `ARCHITECTURE.md` at the root of the repository for
//! how the parts fit.

// What is printed shows no secret, whoever prints it: these stand in front of those of the standard
// library in every module below.
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

pub mod backend;
pub mod cli;
pub mod dashboards;
pub mod declaration;
pub mod drill;
pub mod engine;
pub mod fault;
pub mod image;
pub mod journal;
pub mod lint;
pub mod ops;
pub mod plan;
pub mod probe;
pub mod process;
pub mod receiver;
pub mod record;
pub mod report;
pub mod secret;
pub mod stack;
pub mod yaml;
