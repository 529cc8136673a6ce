//! The mini stack under a test's own monitoring configuration: brought up as a user would,
//! disturbed by the test, recorded like any run, so that the checkers themselves judge what
//! happened.

#![allow(clippy::unwrap_used)]

use firedrill::declaration::OneOrList;
use firedrill::drill::{Inbox, follow};
use firedrill::ops::live::LiveStack;
use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::probe::{self, Probe, Question};
use firedrill::receiver::{CONTROL_PORT, Client};
use firedrill::record::{self, Recorder};
use firedrill::stack::work_copy;
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use verdict::history::fault::{BlastRadius, FaultEvent, ONLY_FAULT};
use verdict::history::run::{Phase, RunEvent};
use verdict::{At, EventKind, Expectation, Fact, History, Status, Verdict};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Service of the stand-ins.
const STAND_INS: &str = "firedrill-receivers";

/// A running mini stack and the record of what is done to it.
pub struct Bench {
    pub live: LiveStack,
    recorder: Recorder,
    metrics: Box<dyn Probe>,
    alerting: Box<dyn Probe>,
    follower: JoinHandle<()>,
    inbox: Inbox,
    began: At,
    drills: std::sync::Mutex<Vec<(String, At, Option<At>)>>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Brings up compose/stacks/mini with the files of `fixtures` laid over it, and texts of its
    /// files replaced: file, old, new.
    pub async fn up(fixtures: &str, edits: &[(&str, &str, &str)]) -> Result<Bench, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let stack = folder.path().join("stack");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mini");
        let lay = |from: &Path| work_copy::copy(from, &stack).map_err(|e| e.to_string());
        lay(&firedrill::process::home::Home::find().root().join("compose/stacks/mini"))?;
        for stale in ["prometheus/rules/alerts.yml", "verdicts.yaml"] {
            std::fs::remove_file(stack.join(stale)).map_err(|e| format!("{stale}: {e}"))?;
        }
        lay(&tests.join(fixtures))?;
        for (file, old, new) in edits {
            let path = stack.join(file);
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
            if text.matches(old).count() != 1 {
                return Err(format!("{file}: {old:?} is not there once"));
            }
            std::fs::write(&path, text.replace(old, new)).map_err(|e| format!("{file}: {e}"))?;
        }
        let common = Common { quiet: true, ..Common::of_tests(folder.path().join("report")) };
        let live = LiveStack::up(&Options::for_tests(&stack.to_string_lossy(), common))
            .await
            .map_err(|f| f.to_string())?;
        let run = folder.path().join("run");
        std::fs::create_dir_all(&run).map_err(|e| e.to_string())?;
        let recorder = Recorder::begin(&run, live.clock()).map_err(|e| e.to_string())?;
        let declaration = &live.read.subject.declaration;
        let connect = |role: &OneOrList<firedrill::declaration::Role>| {
            let role = role.iter().next().ok_or("a role is missing")?;
            let access = live.running.access(role).ok_or("a port is not published")?;
            probe::connect(role, &access, live.clock()).map_err(|e| e.to_string())
        };
        let (metrics, alerting) =
            (connect(&declaration.roles.metrics)?, connect(&declaration.roles.alerting)?);
        let inbox = Inbox::default();
        let arriving = Client::new(
            live.running.address(STAND_INS, CONTROL_PORT).ok_or("there are no stand-ins")?.port(),
        )
        .follow_from(0);
        let follower = tokio::spawn(follow(
            recorder.clone(),
            inbox.clone(),
            futures::StreamExt::map(arriving, |r| r.notification),
        ));
        let began = recorder.clock().now();
        let bench = Bench {
            live,
            recorder,
            metrics,
            alerting,
            follower,
            inbox,
            began,
            drills: Default::default(),
            folder,
        };
        bench.run(RunEvent::Started {
            format: verdict::history::FORMAT,
            id: "bench".into(),
            seed: 20,
            stack: "mini".into(),
            time_scale: 1.0,
        });
        for receiver in &bench.live.read.subject.declaration.receivers {
            bench.note(EventKind::Alert(receiver.declared()));
        }
        Ok(bench)
    }

    pub fn note(&self, kind: EventKind) {
        self.recorder.write(kind).unwrap();
    }

    pub fn run(&self, event: RunEvent) {
        self.note(EventKind::Run(event));
    }

    pub fn now(&self) -> At {
        self.recorder.clock().now()
    }

    async fn ask(&self, probe: &dyn Probe, question: Question) {
        for observation in probe.ask(&question).await {
            self.note(EventKind::Observation(observation));
        }
    }

    /// What is asked of the stack before anything is broken; then nothing is wrong, as far as the
    /// record goes.
    pub async fn healthy(&self) -> Result<(), String> {
        self.until("every target was scraped and every rule evaluated", 60.0, async || {
            let mut answers = self.metrics.ask(&Question::Targets).await;
            answers.extend(self.metrics.ask(&Question::Rules).await);
            answers.len() == 2
                && answers.iter().all(|o| match &o.fact {
                    Fact::Targets { targets } => {
                        !targets.is_empty() && targets.iter().all(|t| t.age_s.is_some())
                    }
                    Fact::Rules { groups } => {
                        !groups.is_empty()
                            && groups.iter().flat_map(|g| &g.rules).all(|r| r.health != "unknown")
                    }
                    _ => false,
                })
        })
        .await?;
        for question in [
            Question::Targets,
            Question::Rules,
            Question::Reload,
            Question::ProcessStarted,
            Question::Evaluations,
        ] {
            self.ask(self.metrics.as_ref(), question).await;
        }
        for question in [Question::Reload, Question::Silences, Question::ManagerReceivers] {
            self.ask(self.alerting.as_ref(), question).await;
        }
        self.run(RunEvent::Steady { held: true, seen: "as the test has it".into(), before: None });
        Ok(())
    }

    /// Does something while the alert manager and the metrics server are watched.
    pub async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        let watch = async {
            loop {
                self.ask(self.alerting.as_ref(), Question::ManagedAlerts).await;
                self.ask(self.alerting.as_ref(), Question::ProcessStarted).await;
                self.ask(self.metrics.as_ref(), Question::ProcessStarted).await;
                self.ask(self.metrics.as_ref(), Question::Evaluations).await;
                tokio::time::sleep(POLL * 3).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = watch => unreachable!("it watches for ever"),
        }
    }

    /// Looks until something holds.
    pub async fn until(
        &self,
        what: &str,
        bound_s: f64,
        mut holds: impl AsyncFnMut() -> bool,
    ) -> Result<(), String> {
        let began = Instant::now();
        while !holds().await {
            if began.elapsed().as_secs_f64() > bound_s {
                return Err(format!("waited {bound_s} s until {what}"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// For so long nothing is done.
    pub async fn hold(&self, seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// State of each alert that the metrics server holds active now.
    pub async fn active(&self) -> BTreeMap<String, String> {
        let now = self.now().wall_s();
        let question = Question::Range {
            name: "active".into(),
            expr: "ALERTS".into(),
            start_s: now,
            end_s: now,
            step_s: 1.0,
        };
        let mut active = BTreeMap::new();
        for observation in self.metrics.ask(&question).await {
            if let Fact::Samples(samples) = observation.fact {
                active.extend(
                    samples
                        .series
                        .into_iter()
                        .map(|s| (s.labels["alertname"].clone(), s.labels["alertstate"].clone())),
                );
            }
        }
        active
    }

    pub async fn until_state(
        &self,
        alert: &str,
        state: Option<&str>,
        bound_s: f64,
    ) -> Result<(), String> {
        let what = format!("{alert} is {}", state.unwrap_or("inactive"));
        self.until(&what, bound_s, async || {
            self.active().await.get(alert).map(String::as_str) == state
        })
        .await
    }

    /// How many accepted notifications a receiver has had of an alert since then.
    pub fn told(&self, receiver: &str, alert: &str, resolved: bool, since: At) -> usize {
        let inbox = self.inbox.lock().unwrap();
        let is_of = |a: &verdict::history::alert::NotifiedAlert| {
            a.resolved == resolved && a.labels.get("alertname").is_some_and(|l| l == alert)
        };
        let fits = |n: &verdict::history::alert::Notification| {
            n.answered < 300
                && n.receiver.as_deref() == Some(receiver)
                && n.alerts.iter().any(is_of)
        };
        inbox.iter().filter(|(at, n)| *at >= since && fits(n)).count()
    }

    pub async fn until_told(
        &self,
        receiver: &str,
        alert: &str,
        resolved: bool,
        since: At,
        bound_s: f64,
    ) -> Result<(), String> {
        let what = format!(
            "{receiver} was notified that {alert} {}",
            if resolved { "is over" } else { "fires" }
        );
        self.until(&what, bound_s, async || self.told(receiver, alert, resolved, since) > 0).await
    }

    /// What an exporter says from now on.
    pub async fn script(&self, service: &str, port: u16, text: &str) -> Result<(), String> {
        let url = self
            .live
            .running
            .url(service, port)
            .ok_or_else(|| format!("{service} is not published"))?;
        let put = reqwest::Client::new()
            .put(format!("{url}/metrics"))
            .header("content-type", "text/plain; version=0.0.4")
            .body(text.to_owned());
        put.send()
            .await
            .and_then(|a| a.error_for_status())
            .map(drop)
            .map_err(|e| format!("{service}: {e}"))
    }

    /// Posts JSON to the alert manager.
    pub async fn post(&self, path: &str, body: serde_json::Value) -> Result<(), String> {
        let url =
            self.live.running.url("alertmanager", 9093).ok_or("alertmanager is not published")?;
        let sent = reqwest::Client::new()
            .post(format!("{url}{path}"))
            .json(&body)
            .send()
            .await
            .map_err(|e| e.to_string())?;
        if sent.status().is_success() {
            Ok(())
        } else {
            Err(format!("{path}: {}", sent.text().await.unwrap_or_default()))
        }
    }

    /// The stand-ins' own interface.
    pub fn stand_ins(&self) -> Client {
        Client::new(self.live.running.services[STAND_INS].instances[0].ports[&CONTROL_PORT])
    }

    async fn container(&self, service: &str) -> Result<String, String> {
        let state = self.live.engine.container_of(&self.live.running.project, service).await;
        state.map(|s| s.id).map_err(|e| e.to_string())
    }

    pub async fn stop(&self, service: &str) -> Result<(), String> {
        let container = self.container(service).await?;
        self.live
            .engine
            .stop(&container, Some(Duration::from_secs(2)))
            .await
            .map_err(|e| e.to_string())
    }

    pub async fn start(&self, service: &str) -> Result<(), String> {
        let container = self.container(service).await?;
        self.live.engine.start(&container).await.map_err(|e| e.to_string())
    }

    /// Stops a service and starts it, as somebody might at any time: the record knows of it only
    /// what the servers tell.
    pub async fn restart(&self, service: &str) -> Result<(), String> {
        self.stop(service).await?;
        self.start(service).await
    }

    /// Begins a drill: `work` is its fault.
    pub async fn inject(
        &self,
        drill: &str,
        target: &str,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<At, String> {
        let name = drill.to_owned();
        self.run(RunEvent::DrillBegan {
            drill: name.clone(),
            wave: self.drills.lock().unwrap().len() as u32,
        });
        let (kind, mechanism) = ("by the test".to_owned(), "engine".to_owned());
        let fault = FaultEvent::Injected {
            drill: name.clone(),
            fault: ONLY_FAULT.into(),
            kind,
            target: target.into(),
            instances: vec![],
            mechanism,
            blast_radius: BlastRadius::default(),
        };
        let at = self.now();
        self.drills.lock().unwrap().push((name.clone(), at, None));
        self.note(EventKind::Fault(fault));
        work.await?;
        self.note(EventKind::Fault(FaultEvent::Bit {
            drill: name,
            fault: ONLY_FAULT.into(),
            evidence: "done".into(),
        }));
        Ok(at)
    }

    /// Heals a drill: `work` undoes its fault.
    pub async fn heal(
        &self,
        drill: &str,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<At, String> {
        let done = work.await;
        let at = self.now();
        let fault = || ONLY_FAULT.to_owned();
        self.note(EventKind::Fault(FaultEvent::Healed { drill: drill.into(), fault: fault() }));
        self.note(EventKind::Fault(FaultEvent::Left {
            drill: drill.into(),
            fault: fault(),
            evidence: "done".into(),
        }));
        done.map(|()| at)
    }

    /// Ends a drill.
    pub fn end(&self, drill: &str) {
        self.run(RunEvent::DrillEnded { drill: drill.into() });
        let mut drills = self.drills.lock().unwrap();
        drills.iter_mut().filter(|d| d.0 == drill).for_each(|d| d.2 = Some(self.now()));
    }

    /// Asks for what judging needs, among it what these alerts' rules were made of in each drill,
    /// and takes the stack away.
    pub async fn finish(self, alerts: &[&str]) -> Result<History, String> {
        self.run(RunEvent::PhaseBegan { phase: Phase::Capture });
        let (start_s, end_s) = (self.began.wall_s(), self.now().wall_s());
        self.ask(
            self.metrics.as_ref(),
            Question::Range {
                name: "alerts".into(),
                expr: "ALERTS".into(),
                start_s,
                end_s,
                step_s: 1.0,
            },
        )
        .await;
        let drills = std::mem::take(&mut *self.drills.lock().unwrap());
        for (drill, from, to) in drills {
            for alert in alerts {
                let (alert, drill) = ((*alert).to_owned(), Some(drill.clone()));
                let (start_s, end_s) = (from.wall_s(), to.unwrap_or_else(|| self.now()).wall_s());
                self.ask(
                    self.metrics.as_ref(),
                    Question::RuleInputs { alert, drill, start_s, end_s },
                )
                .await;
            }
        }
        for question in
            [Question::Evaluations, Question::Rules, Question::Reload, Question::ProcessStarted]
        {
            self.ask(self.metrics.as_ref(), question).await;
        }
        self.follower.abort();
        self.recorder.end(true, None).map_err(|e| e.to_string())?;
        let history = record::read(&self.folder.path().join("run")).map_err(|e| e.to_string());
        self.live.down().await.map_err(|f| f.to_string())?;
        if let Some(kept) = std::env::var_os("FIREDRILL_BENCH_KEEP") {
            work_copy::copy(&self.folder.path().join("run"), Path::new(&kept))
                .map_err(|e| e.to_string())?;
        }
        history
    }
}

/// What a verdict must be: passed, or failed with a cause; and what it must say.
pub fn judged(
    history: &History,
    expectation: &Expectation,
    wanted: Option<verdict::Cause>,
    says: &[&str],
) -> Result<Verdict, Failed> {
    let verdict = expectation.judge(history);
    let as_wanted = match wanted {
        None => verdict.status == Status::Pass,
        Some(cause) => verdict.status == Status::Fail && verdict.cause == Some(cause),
    };
    let told = format!("{} {}", verdict.stage().unwrap_or_default(), verdict.reason);
    let missing: Vec<&&str> = says.iter().filter(|s| !told.contains(**s)).collect();
    if as_wanted && missing.is_empty() {
        return Ok(verdict);
    }
    Err(Failed::from(format!("wanted {wanted:?} saying {says:?}, seen {verdict:#?}")))
}
