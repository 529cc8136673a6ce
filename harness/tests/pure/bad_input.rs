//! What a user will do wrong: each gives one message that names file and line, the wrong word, and
//! what to do, ends with the documented exit code, and starts nothing. The built binary is run on
//! broken copies of our stacks.
//!
//! None of this needs Docker: `DOCKER_HOST` leads to a socket that is not there, so whatever is
//! only noticed once the engine is asked ends with another code and fails its case.

mod access;
mod arguments;
mod case;
mod drills;
mod environment;
mod files;
mod journeys;
mod loads;
mod members;
mod phases;
mod record;
mod snapshot;
