//! Clients: one file for each protocol. They say what came back and whether anything was sent; what
//! that means for an operation is the journey's business.

pub mod http;
pub mod imap;

use nix::errno::Errno;
use std::io;

/// Whether an operation could not leave for want of descriptors, ports or memory on this side.
pub(crate) fn is_want_of_room(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// The kind of error that a connection which could not be opened is, and whether it was for want of
/// room on this side.
pub(crate) fn not_opened(error: &io::Error) -> (&'static str, bool) {
    match error.kind() {
        _ if is_want_of_room(error) => ("this machine had no room", true),
        io::ErrorKind::ConnectionRefused => ("connection refused", false),
        _ => ("connection not opened", false),
    }
}
