//! Clients: one file for each protocol. They say what came back and whether anything was sent; what that means for an
//! operation is the journey's business.

pub mod http;
pub mod imap;
