//! A load past one machine: one coordinator, and workers on several hosts or in several containers
//! that drive one URL together.
//!
//! Each worker draws the same schedule from the same seed and begins every n-th arrival of it
//! ([`Share`](crate::arrival::Share)), at one instant that is told to it on its own clock. It tells
//! what it measured about once a second, in histograms that add up without loss; the coordinator
//! judges the sum as it would judge one generator's. A worker that dies or falls silent makes the
//! load invalid, for the rate that was asked for was not driven; a coordinator that does ends the
//! workers' part at once.
//!
//! A worker serves who proves to know its token, one at a time, and drives only the loopback
//! interface and the networks that it was started for.

mod coordinator;
mod job;
mod link;
mod merge;
mod offset;
mod token;
mod worker;

pub use coordinator::{FleetError, Place, Watching, drive};
pub use job::Load;
pub use link::{Refusal, VERSION};
pub use token::{Token, TokenError};
pub use worker::{Allowed, Rules, Say, serve};
