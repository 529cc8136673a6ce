//! What each command does, after its arguments are parsed and before its result is printed: one
//! file a command, and what several of them share.

pub mod alerts;
pub mod baseline;
pub mod compare;
pub mod console;
pub mod doctor;
pub mod down;
pub mod fault;
pub mod gate;
pub mod heal;
pub mod images;
pub mod judge;
pub mod lint;
pub mod live;
pub mod load;
pub mod options;
pub mod run;
pub mod selftest;
pub mod settings;
pub mod status;
pub mod trend;
pub mod up;
pub mod verify;
pub mod workers;
