//! Each probe against the one real server that it asks; the server gone, and answers that are none.

#![allow(clippy::unwrap_used)]

mod alertmanager;
mod elasticsearch;
mod grafana;
mod grafana_files;
mod health;
mod jaeger;
mod prometheus;
mod recorded;
mod wrong_answers;

use firedrill::declaration::Role;
use firedrill::probe::{self, Probe, Question};
use firedrill::process::clock::RunClock;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::images;
use support::module::{Test, Tests};
use verdict::observation::{Fact, Observation};

const SECOND: Duration = Duration::from_secs(1);

pub fn tests() -> Tests {
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    );
    let runs = |test: fn() -> BoxFuture<'static, ()>| {
        let runtime = runtime.clone();
        move || {
            runtime.block_on(test());
            Ok(())
        }
    };
    let trial =
        |name: &str, needed: &'static [&'static str], test| images::trial(name, needed, runs(test));
    Tests::one_by_one([
        Test::new("wrong_answers_are_observations", runs(|| Box::pin(wrong_answers::all()))),
        Test::new("health_endpoints", runs(|| Box::pin(health::endpoints()))),
        Test::new("grafana_as_recorded", runs(|| Box::pin(recorded::answers()))),
        trial("prometheus", &["prometheus"], || Box::pin(prometheus::answers())),
        trial("alertmanager", &["alertmanager"], || Box::pin(alertmanager::answers())),
        trial("jaeger", &["jaeger"], || Box::pin(jaeger::answers())),
        trial("elasticsearch", &["elasticsearch"], || Box::pin(elasticsearch::answers())),
        trial("grafana_files", &["prometheus"], || Box::pin(grafana_files::answers())),
        trial("grafana", &["grafana", "prometheus", "jaeger", "elasticsearch"], || {
            Box::pin(grafana::answers())
        }),
    ])
}

/// The probe of a kind on a port, asked as the harness asks it.
fn connect(kind: &str, port: u16) -> Box<dyn Probe> {
    let login = (kind == "grafana").then(|| "admin".to_owned());
    let role = Role {
        kind: kind.into(),
        service: format!("my-{kind}"),
        port: 1,
        config: None,
        user: login.clone(),
        password: login,
        ..Role::default()
    };
    probe::connect(&role, &role.access_at(port), RunClock::begin()).unwrap()
}

/// The facts of an answer; the observation's source and times are looked at here, for all tests.
async fn ask(probe: &dyn Probe, question: Question) -> Vec<Fact> {
    let before = now_s();
    let observations: Vec<Observation> = probe.ask(&question).await;
    for o in &observations {
        assert_eq!(o.source, probe.source());
        assert!(
            before - 0.1 <= o.asked.wall_s()
                && o.asked <= o.answered
                && o.answered.wall_s() <= now_s() + 0.1,
            "{o:?}"
        );
    }
    observations.into_iter().map(|o| o.fact).collect()
}

/// The one fact of an answer.
async fn fact(probe: &dyn Probe, question: Question) -> Fact {
    let facts = ask(probe, question).await;
    assert_eq!(facts.len(), 1, "{facts:#?}");
    facts.into_iter().next().unwrap()
}

async fn assert_unreachable(probe: &dyn Probe, question: Question) {
    let asked = question.asked();
    match fact(probe, question).await {
        Fact::Unreachable { question, error } => {
            assert!(question == asked && !error.is_empty(), "{question}: {error}")
        }
        other => panic!("{asked} of a server that is gone: {other:?}"),
    }
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
