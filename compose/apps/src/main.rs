//! apps
fn main() {}
