//! The engine: starts, stops, inspects, signals and limits containers. It knows containers and nothing of tests.

/// A connection to the container engine.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The client.
    pub docker: bollard::Docker,
}
