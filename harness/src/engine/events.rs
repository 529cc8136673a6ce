//! What the engine reports about containers as it happens.

use super::{Asked, Engine, EngineError, label};
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Start,
    /// It ended, with this exit code.
    Die(i64),
    /// It was paused.
    Pause,
    /// It goes on after a pause.
    Unpause,
    /// The kernel killed a process of it for memory.
    Oom,
    /// Its health check began to pass.
    Healthy,
    /// Its health check fails.
    Unhealthy,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    pub container: String,
    /// Service, or the container's name where it has none.
    pub service: String,
    pub what: EventKind,
    /// When, in nanoseconds since the epoch.
    pub at_ns: i64,
}

impl Engine {
    /// Follows what happens to the containers of a run from now on. The stream ends with an error
    /// when the engine goes.
    pub fn events(
        &self,
        run: &str,
    ) -> impl Stream<Item = Result<ContainerEvent, EngineError>> + Send + use<> {
        let mut filters = label::filter(label::RUN, Some(run));
        filters.insert("type".into(), vec!["container".into()]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker.clone();
        docker.events(Some(options)).filter_map(|event| async move {
            match event.asked(|| "following the engine's events".into()) {
                Err(error) => Some(Err(error)),
                Ok(event) => {
                    let actor = event.actor?;
                    let attributes = actor.attributes.unwrap_or_default();
                    let what = match event.action?.as_str() {
                        "start" => EventKind::Start,
                        "die" => EventKind::Die(
                            attributes
                                .get("exitCode")
                                .and_then(|code| code.parse().ok())
                                .unwrap_or(-1),
                        ),
                        "pause" => EventKind::Pause,
                        "unpause" => EventKind::Unpause,
                        "oom" => EventKind::Oom,
                        "health_status: healthy" => EventKind::Healthy,
                        "health_status: unhealthy" => EventKind::Unhealthy,
                        _ => return None,
                    };
                    let service =
                        attributes.get(label::SERVICE).or_else(|| attributes.get("name")).cloned();
                    Some(Ok(ContainerEvent {
                        container: actor.id?,
                        service: service.unwrap_or_default(),
                        what,
                        at_ns: event.time_nano.unwrap_or_default(),
                    }))
                }
            }
        })
    }
}
