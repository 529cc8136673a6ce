//! Load, phases and faults as annotations on the stack's dashboards, so that who looks at them sees
//! what was done when. What can't be written is noted, and changes no verdict.

use crate::backend::{Access, Client, Redirects};
use crate::declaration::{Declaration, Role};
use crate::probe::ask::ApiClient;
use crate::probe::{self, Question};
use crate::process::clock::RunClock;
use crate::process::failure::UserError;
use crate::stack::Running;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use verdict::history::fault::FaultEvent;
use verdict::history::load::LoadEvent;
use verdict::history::run::{Phase, RunEvent};
use verdict::{Event, EventKind, Fact, Observation};

/// Tag of all annotations of ours.
pub const TAG: &str = "firedrill";
/// Name of a load that is driven by itself.
const ALONE: &str = "load";
/// How long the last ones may take, after everything else is done.
const LAST: Duration = Duration::from_secs(10);

/// What an event says about the dashboards.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Something begins: by what its end is known, what it is, and its tags.
    Begins(String, String, Vec<String>),
    Ends(String),
}

/// By what the end of a fault is known.
fn of_fault(drill: &str, fault: &str) -> String {
    format!("fault {drill} {fault}")
}

fn said(kind: &EventKind) -> Option<Said> {
    let begins = |key: String, text: String, kind: &str, name: &str| {
        Some(Said::Begins(key, text, vec![kind.to_owned(), format!("{kind}:{name}")]))
    };
    match kind {
        EventKind::Load(LoadEvent::Began { rate, stream }) => begins(
            format!("load {stream}"),
            format!("load {stream}: {rate} arrivals a second"),
            "load",
            stream,
        ),
        EventKind::Load(LoadEvent::Ended { stream, .. }) => {
            Some(Said::Ends(format!("load {stream}")))
        }
        EventKind::Fault(FaultEvent::Injected { drill, fault, kind, target, .. }) => begins(
            of_fault(drill, fault),
            format!("fault {kind} on {target} (drill {drill})"),
            "fault",
            drill,
        ),
        EventKind::Fault(FaultEvent::Healed { drill, fault }) => {
            Some(Said::Ends(of_fault(drill, fault)))
        }
        EventKind::Run(RunEvent::PhaseBegan {
            phase: phase @ (Phase::Steady | Phase::Drive | Phase::Drain),
        }) => {
            let name = format!("{phase:?}").to_lowercase();
            begins(format!("phase {name}"), format!("phase {name}"), "phase", &name)
        }
        EventKind::Run(RunEvent::PhaseEnded { phase }) => {
            Some(Said::Ends(format!("phase {phase:?}").to_lowercase()))
        }
        _ => None,
    }
}

/// Writes annotations as events come.
pub struct Annotations {
    events: UnboundedSender<Event>,
    writer: JoinHandle<Result<usize, String>>,
    role: Role,
    access: Access,
    clock: RunClock,
    run: String,
}

impl Annotations {
    /// Begins to write, where the stack has dashboards that can be annotated.
    pub fn begin(
        declaration: &Declaration,
        running: &Running,
        run: &str,
        clock: RunClock,
    ) -> Option<Annotations> {
        let answers =
            declaration.roles.dashboards_where(|service| running.services.contains_key(service));
        let role = answers.filter(|r| r.kind == "grafana")?;
        let access = running.access(role)?;
        let uids = declaration.dashboards.iter().map(|d| d.uid.clone()).collect();
        Some(Annotations::on(role, access, uids, run, clock))
    }

    /// Notes that a load begins which is driven by itself, at so many arrivals a second.
    pub fn load(declaration: &Declaration, running: &Running, rate: f64) -> Option<Annotations> {
        let annotations =
            Annotations::begin(declaration, running, &running.run, RunClock::begin())?;
        annotations.note(LoadEvent::Began { rate, stream: ALONE.into() });
        Some(annotations)
    }

    /// Notes that it has ended.
    ///
    /// # Errors
    /// As [`Annotations::end`].
    pub async fn load_ended(self) -> Result<Observation, String> {
        self.note(LoadEvent::Ended { stream: ALONE.into(), summary: Box::default() });
        self.end().await
    }

    fn note(&self, event: LoadEvent) {
        // A writer that is gone tells why at the end.
        let _ =
            self.events.send(Event { seq: 0, at: self.clock.now(), kind: EventKind::Load(event) });
    }

    /// Writes to the server that is asked so, on these dashboards; on all, if none is named.
    pub fn on(
        role: &Role,
        access: Access,
        uids: Vec<String>,
        run: &str,
        clock: RunClock,
    ) -> Annotations {
        let client = Client::new(&access, Redirects::Followed)
            .map(|client| ApiClient::new(&role.service, client, clock))
            .map_err(|why| why.in_one_line());
        let (events, arriving) = unbounded_channel();
        let of = run.to_owned();
        let writer = tokio::spawn(async move { write(client?, arriving, uids, of).await });
        Annotations { events, writer, role: role.clone(), access, clock, run: run.to_owned() }
    }

    /// Where events are handed in; those that say nothing about the dashboards are passed over.
    pub fn sender(&self) -> UnboundedSender<Event> {
        self.events.clone()
    }

    /// Ends what is open, and looks whether all that was written is there. Every other sender must
    /// be gone.
    ///
    /// # Errors
    /// Why there is less than should be.
    pub async fn end(self) -> Result<Observation, String> {
        drop(self.events);
        let abort = self.writer.abort_handle();
        let written = match tokio::time::timeout(LAST, self.writer).await {
            Ok(Ok(written)) => written?,
            Ok(Err(e)) => return Err(format!("the writer ended early: {e}")),
            Err(_) => {
                abort.abort();
                return Err(format!(
                    "not all were written within {} s after the run",
                    LAST.as_secs()
                ));
            }
        };
        let probe = probe::connect(&self.role, &self.access, self.clock)
            .map_err(|e| e.advice().to_string())?;
        let question = Question::Annotations { tags: vec![TAG.into(), run_tag(&self.run)] };
        let observation =
            probe.ask(&question).await.into_iter().next().ok_or("the dashboards gave no answer")?;
        match &observation.fact {
            Fact::Annotations { annotations } if annotations.len() >= written => Ok(observation),
            Fact::Annotations { annotations } => {
                Err(format!("{written} were written, and {} are there", annotations.len()))
            }
            Fact::Unreachable { error, .. } => Err(error.clone()),
            other => Err(format!("an answer to another question: {other:?}")),
        }
    }
}

/// The tag of a run's annotations.
fn run_tag(run: &str) -> String {
    format!("run:{run}")
}

#[derive(Deserialize)]
struct Added {
    id: u64,
}

/// Writes until nobody hands in any more; how many there are then. The first error is told at the
/// end: the others are tried all the same.
async fn write(
    client: ApiClient,
    mut events: UnboundedReceiver<Event>,
    mut uids: Vec<String>,
    run: String,
) -> Result<usize, String> {
    let mut wrong = None;
    if uids.is_empty() {
        match client
            .get::<Vec<Value>>("/api/search", &[("type", "dash-db"), ("limit", "500")])
            .await
        {
            Ok(found) => {
                uids.extend(found.iter().filter_map(|d| d["uid"].as_str().map(str::to_owned)))
            }
            Err(error) => wrong = Some(error),
        }
    }
    let (mut open, mut written) = (BTreeMap::<String, Vec<u64>>::new(), 0);
    let mut last_ms = 0;
    while let Some(event) = events.recv().await {
        last_ms = event.at.wall_us / 1000;
        match said(&event.kind) {
            Some(Said::Begins(key, text, tags)) => {
                let tags: Vec<String> =
                    [TAG.to_owned(), run_tag(&run)].into_iter().chain(tags).collect();
                for uid in &uids {
                    let body =
                        json!({"dashboardUID": uid, "time": last_ms, "tags": tags, "text": text});
                    match client.send::<Added>(Method::POST, "/api/annotations", &[], &body).await {
                        Ok(added) => {
                            written += 1;
                            open.entry(key.clone()).or_default().push(added.id);
                        }
                        Err(error) => drop(wrong.get_or_insert(error)),
                    }
                }
            }
            Some(Said::Ends(key)) => {
                close(&client, open.remove(&key).unwrap_or_default(), last_ms, &mut wrong).await
            }
            None => {}
        }
    }
    // What was cut short ends with the run.
    close(&client, open.into_values().flatten().collect(), last_ms, &mut wrong).await;
    wrong.map_or(Ok(written), Err)
}

async fn close(client: &ApiClient, ids: Vec<u64>, at_ms: i64, wrong: &mut Option<String>) {
    for id in ids {
        let sent = client
            .send::<Value>(
                Method::PATCH,
                &format!("/api/annotations/{id}"),
                &[],
                &json!({"timeEnd": at_ms}),
            )
            .await;
        if let Err(error) = sent {
            wrong.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{Guarded, without_one};
    use verdict::history::fault::ONLY_FAULT;

    #[test]
    fn what_begins_is_ended_by_its_own_end() {
        let key = |kind: EventKind| match said(&kind) {
            Some(Said::Begins(key, ..) | Said::Ends(key)) => key,
            None => String::new(),
        };
        for phase in [Phase::Steady, Phase::Drive, Phase::Drain] {
            let began = key(EventKind::Run(RunEvent::PhaseBegan { phase }));
            assert!(!began.is_empty());
            assert_eq!(began, key(EventKind::Run(RunEvent::PhaseEnded { phase })));
        }
        let began = EventKind::Load(LoadEvent::Began { rate: 20.0, stream: "background".into() });
        assert_eq!(
            said(&began),
            Some(Said::Begins(
                "load background".into(),
                "load background: 20 arrivals a second".into(),
                vec!["load".into(), "load:background".into()]
            ))
        );
        let ended = LoadEvent::Ended { stream: "background".into(), summary: Default::default() };
        assert_eq!(key(began), key(EventKind::Load(ended)));
        let injected = FaultEvent::Injected {
            drill: "d".into(),
            fault: ONLY_FAULT.into(),
            kind: "stop".into(),
            target: "postfix".into(),
            instances: vec![],
            mechanism: "m".into(),
            blast_radius: Default::default(),
        };
        assert_eq!(
            key(EventKind::Fault(injected)),
            key(EventKind::Fault(FaultEvent::Healed {
                drill: "d".into(),
                fault: ONLY_FAULT.into(),
            }))
        );
        assert_eq!(said(&EventKind::Run(RunEvent::DrillEnded { drill: "d".into() })), None);
    }

    #[tokio::test]
    async fn dashboards_are_annotated_as_their_role_says() {
        let server = Guarded::serve("/graphs").await;
        let role = Role { kind: "grafana".into(), service: "server".into(), ..Role::default() };
        let annotate = async |access: Access| {
            let annotations =
                Annotations::on(&role, access, vec!["b".into()], "r", RunClock::begin());
            annotations.note(LoadEvent::Began { rate: 1.0, stream: ALONE.into() });
            annotations.end().await
        };
        for access in server.accesses() {
            annotate(access.clone()).await.expect("is there");
            assert_eq!(
                server.asked(),
                [
                    "POST /graphs/api/annotations",
                    "PATCH /graphs/api/annotations/1",
                    "GET /graphs/api/annotations"
                ]
            );
            for (key, less) in without_one(&access) {
                assert!(annotate(less).await.is_err(), "without {key}");
            }
        }
    }
}
