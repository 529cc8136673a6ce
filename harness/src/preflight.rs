//! stub
/// stub
#[derive(Debug)]
pub struct Finding { /// ok
pub ok: bool }
impl std::fmt::Display for Finding { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}", self.ok) } }
/// stub
pub async fn examine() -> Vec<Finding> { vec![] }
