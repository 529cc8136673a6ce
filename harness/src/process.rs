//! The process itself: how it ends, is interrupted, tells its progress; the machine and the clock
//! that it runs by.

pub mod clock;
pub mod exit;
pub mod failure;
pub mod home;
pub mod host;
pub mod interrupt;
pub mod program;
pub mod progress;
