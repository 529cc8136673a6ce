//! stub
use crate::engine::{Engine, EngineError};
/// stub
pub async fn engine(_provision: bool, _say: &dyn Fn(&str)) -> Result<Engine, EngineError> { Engine::connect().await }
