//! stub
/// stub
pub struct Reaper;
impl Reaper { /// s
pub fn spawn(_run: &str) -> std::io::Result<Reaper> { Ok(Reaper) }
/// d
pub fn dismiss(self) {} }
/// m
pub async fn main(_run: &str) -> std::io::Result<()> { Ok(()) }
