//! A small complete run in which everything is well, and tiny tools to break one thing in it.
//!
//! Seconds of the run: 20 steady · 60–90 drill `mailer_stopped` raises `MailerDown` · 95 steady ·
//! 100–130 drill `store_slow` raises `SlowAnswers` · 135 steady · 175 end of the drive · 185
//! capture · 200 end. Operations arrive four a second from 18 on.

use std::collections::BTreeMap;
use verdict::baseline::{Baseline, StepLimit};
use verdict::check::Expectation;
use verdict::check::alerts::{
    AlertFires, AlertQuiet, AlertReaches, AlertResolves, AlertStages, NothingElseFires, StageBudget,
};
use verdict::check::alerts::{
    NotifiedOnce, NotifiedRepeatedly, NotifiedUntilOver, SomebodyNotified, StatesNotifiedOnce,
};
use verdict::check::causes::Causes;
use verdict::check::cluster::{
    AlertsHeldOnce, ManagersAlike, ManagersClustered, ReplicasToldApart, SentToEachManager,
};
use verdict::check::dashboards::{DatasourcesHealthy, ExpectedDashboard, PanelsReturnData};
use verdict::check::drill::{FaultBitAndLeft, LoadKeptSchedule};
use verdict::check::health::{HealthEndpoints, ServicesReady};
use verdict::check::instrumented::ServicesInstrumented;
use verdict::check::logs::{FieldsTyped, LinesStored};
use verdict::check::recovery::Recovered;
use verdict::check::retention::{Kept, SamplesKept};
use verdict::check::scraping::{
    ConfigurationLoaded, ExpectedTarget, MetricsEndpoints, SeriesPresent, TargetsUp,
};
use verdict::check::traces::{ExpectedSpan, ExpectedTrace, SamplingRate, TracesComplete};
use verdict::check::under_load::{TargetsStayScraped, duration_samples, up_samples};
use verdict::history::alert::{AlertEvent, Notification, NotifiedAlert, Protocol};
use verdict::history::fault::{BlastRadius, FaultEvent, ONLY_FAULT};
use verdict::history::load::{LoadEvent, LoadSummary, Operation, Outcome, Percentiles};
use verdict::history::run::{Phase, RunEvent};
use verdict::history::stack::StackEvent;
use verdict::observation::alerts::{ManagedAlert, ManagedRoute};
use verdict::observation::dashboards::{Dashboard, Datasource, Panel};
use verdict::observation::health::HealthAnswer;
use verdict::observation::host::Pressure;
use verdict::observation::logs::{Document, FieldTypes};
use verdict::observation::members::{ClusterMember, Replica};
use verdict::observation::metrics::{
    Comparison, GroupEvaluations, Reload, Rule, RuleGroup, RuleInputs, Samples, Series,
    SeriesCount, Target,
};
use verdict::observation::traces::Span;
use verdict::{At, Cause, Event, EventKind, Fact, History, Observation, Status, Verdict};

/// 2026-02-02 12:00:00 UTC.
const NOON: i64 = 1_770_033_600;

/// When the run took place.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub wall_s: i64,
    pub mono_s: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { wall_s: NOON, mono_s: 0 }
    }
}

impl Clock {
    pub fn at(self, t: f64) -> At {
        let us = (t * 1e6).round() as i64;
        At { mono_us: self.mono_s * 1_000_000 + us, wall_us: self.wall_s * 1_000_000 + us }
    }

    pub fn wall(self, t: f64) -> f64 {
        self.at(t).wall_s()
    }

    /// RFC 3339 in UTC, and the day as indices are named.
    pub fn stamp(self, t: f64) -> (String, String) {
        let ms = self.at(t).wall_us.div_euclid(1000);
        let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        // Counted year by year: another way than the crate's own.
        let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
        let (mut year, mut left) = (1970, days);
        while left >= 365 + i64::from(leap(year)) {
            left -= 365 + i64::from(leap(year));
            year += 1;
        }
        let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while left >= lengths[month] {
            left -= lengths[month];
            month += 1;
        }
        let (h, m, s) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
        let stamp = format!(
            "{year:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
            month + 1,
            left + 1,
            of_day % 1000
        );
        (stamp, format!("{year:04}.{:02}.{:02}", month + 1, left + 1))
    }
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
}

/// A run under construction: seconds and what happened then.
#[derive(Clone)]
pub struct Run {
    pub clock: Clock,
    pub events: Vec<(f64, EventKind)>,
}

impl Run {
    pub fn push(&mut self, t: f64, kind: EventKind) -> &mut Run {
        self.events.push((t, kind));
        self
    }

    pub fn run(&mut self, t: f64, e: RunEvent) -> &mut Run {
        self.push(t, EventKind::Run(e))
    }

    pub fn fault(&mut self, t: f64, e: FaultEvent) -> &mut Run {
        self.push(t, EventKind::Fault(e))
    }

    pub fn saw(&mut self, t: f64, source: &str, fact: Fact) -> &mut Run {
        let (asked, answered) = (self.clock.at(t - 0.01), self.clock.at(t));
        self.push(
            t,
            EventKind::Observation(Observation {
                source: source.into(),
                via: None,
                asked,
                answered,
                fact,
            }),
        )
    }

    pub fn notified(&mut self, t: f64, n: Notification) -> &mut Run {
        let received_wall_us = self.clock.at(t).wall_us;
        self.push(
            t,
            EventKind::Alert(AlertEvent::Notification(Notification { received_wall_us, ..n })),
        )
    }

    /// Leaves out what is not wanted.
    pub fn without(mut self, unwanted: impl Fn(f64, &EventKind) -> bool) -> Run {
        self.events.retain(|(t, k)| !unwanted(*t, k));
        self
    }

    /// Changes facts.
    pub fn facts(mut self, mut change: impl FnMut(f64, &str, &mut Fact)) -> Run {
        for (t, k) in &mut self.events {
            if let EventKind::Observation(o) = k {
                let source = o.source.clone();
                change(*t, &source, &mut o.fact);
            }
        }
        self
    }

    pub fn operations(mut self, mut change: impl FnMut(f64, &mut Operation)) -> Run {
        for (t, k) in &mut self.events {
            if let EventKind::Load(LoadEvent::Operation(o)) = k {
                change(*t, o);
            }
        }
        self
    }

    /// Changes notifications.
    pub fn notifications(mut self, mut change: impl FnMut(f64, &mut Notification)) -> Run {
        for (t, k) in &mut self.events {
            if let EventKind::Alert(AlertEvent::Notification(n)) = k {
                change(*t, n);
            }
        }
        self
    }

    /// Moves the samples of an alert (all states) by seconds.
    pub fn alert_later(self, alert: &str, by: f64) -> Run {
        self.facts(|_, _, f| {
            if let Fact::Samples(s) = f {
                for series in s
                    .series
                    .iter_mut()
                    .filter(|s| s.labels.get("alertname").is_some_and(|n| n == alert))
                {
                    series.points.iter_mut().for_each(|p| p.0 += by);
                }
            }
        })
    }

    /// Takes an alert's samples of one state out of the record.
    pub fn never(self, alert: &str, state: &str) -> Run {
        self.facts(|_, _, f| {
            if let Fact::Samples(s) = f {
                s.series.retain(|s| {
                    !(s.labels.get("alertname").is_some_and(|n| n == alert)
                        && s.labels.get("alertstate").is_some_and(|n| n == state))
                });
            }
        })
    }

    /// Nobody was told of an alert.
    pub fn untold(self, alert: &str) -> Run {
        self.without(
            |_, k| matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if n.alerts.iter().any(|a| a.labels["alertname"] == alert)),
        )
    }

    pub fn history(&self) -> History {
        let mut events = self.events.clone();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let event = |(i, (t, kind)): (usize, (f64, EventKind))| Event {
            seq: i as u64,
            at: self.clock.at(t),
            kind,
        };
        History::new(events.into_iter().enumerate().map(event).collect())
    }

    /// The verdict of the expectation with this id.
    pub fn verdict(&self, id: &str) -> Verdict {
        let of_id = expectations().into_iter().find(|e| e.checker().id() == id);
        of_id.unwrap_or_else(|| panic!("no expectation {id}")).judge(&self.history())
    }

    #[track_caller]
    pub fn passes(&self, id: &str, says: &str) -> Verdict {
        self.is(id, Status::Pass, None, says)
    }

    #[track_caller]
    pub fn fails(&self, id: &str, cause: Cause, says: &str) -> Verdict {
        let v = self.is(id, Status::Fail, Some(cause), says);
        assert!(v.hint.is_some(), "a failure without a hint: {v:#?}");
        v
    }

    #[track_caller]
    pub fn unknown(&self, id: &str, says: &str) -> Verdict {
        self.is(id, Status::Unknown, None, says)
    }

    #[track_caller]
    fn is(&self, id: &str, status: Status, cause: Option<Cause>, says: &str) -> Verdict {
        let v = self.verdict(id);
        assert_eq!((v.status, v.cause), (status, cause), "{v:#?}");
        assert!(v.reason.contains(says), "{says:?} is not in {:?}", v.reason);
        v
    }
}

pub fn notification(receiver: &str, alert: &str, resolved: bool) -> Notification {
    let (protocol, host, path) = match receiver {
        "chat" => (Protocol::Slack, "chat.test", "/services/ops"),
        _ => (Protocol::Webhook, "hook.test", "/hook"),
    };
    Notification {
        receiver: Some(receiver.into()),
        protocol,
        host: host.into(),
        path: path.into(),
        key: None,
        answered: 200,
        alerts: vec![NotifiedAlert {
            resolved,
            labels: map(&[("alertname", alert), ("severity", "critical")]),
        }],
        error: None,
        received_wall_us: 0,
        from: None,
    }
}

pub fn managed(alert: &str) -> ManagedAlert {
    ManagedAlert {
        labels: map(&[("alertname", alert), ("severity", "critical")]),
        state: "active".into(),
        inhibited_by: vec![],
        silenced_by: vec![],
        muted_by: vec![],
        receivers: strings(&["ops"]),
        routes: vec![ManagedRoute {
            receiver: "ops".into(),
            group_wait_s: 0.5,
            group_interval_s: 5.0,
            repeat_interval_s: 8.0,
        }],
        starts_at_s: 0.0,
        ends_at_s: 0.0,
    }
}

fn rule(name: &str, expr: &str) -> Rule {
    Rule {
        name: name.into(),
        alerting: true,
        expr: expr.into(),
        for_s: 3.0,
        keep_firing_s: 0.0,
        labels: map(&[("severity", "critical")]),
        health: "ok".into(),
        last_error: String::new(),
        evaluation_s: 0.001,
    }
}

pub fn target(job: &str) -> Target {
    Target {
        job: job.into(),
        instance: format!("{job}:80"),
        labels: map(&[("job", job)]),
        scrape_url: format!("http://{job}:80/metrics"),
        up: true,
        last_error: String::new(),
        age_s: Some(0.4),
        interval_s: 1.0,
        duration_s: 0.01,
        timeout_s: 1.0,
    }
}

pub fn panel(title: &str, query: &str) -> Panel {
    Panel {
        dashboard: "overview".into(),
        panel: title.into(),
        query: query.into(),
        datasource: "metrics".into(),
        frames: 1,
        values: 10,
        error: None,
        took_s: 0.1,
        timed_out: false,
        skipped: None,
    }
}

pub fn comparison(left: &str, op: &str, threshold: f64, lowest: f64, highest: f64) -> Comparison {
    Comparison {
        left: left.into(),
        op: op.into(),
        threshold,
        lowest: Some(lowest),
        highest: Some(highest),
        samples: 10,
        not_numbers: 0,
    }
}

pub fn series(clock: Clock, alert: &str, state: &str, from: i32, to: i32) -> Series {
    let labels = map(&[
        ("__name__", "ALERTS"),
        ("alertname", alert),
        ("alertstate", state),
        ("severity", "critical"),
    ]);
    Series { labels, points: (from..=to).map(|t| (clock.wall(f64::from(t)), Some(1.0))).collect() }
}

pub fn operation(clock: Clock, i: usize) -> (f64, Operation) {
    let due = 18.0 + i as f64 / 4.0;
    let ended = due + 0.05;
    let o = Operation {
        id: format!("op-{i}"),
        journey: "mail".into(),
        step: if i.is_multiple_of(2) { "send" } else { "list" }.into(),
        user: "alice".into(),
        due: clock.at(due),
        started: clock.at(due),
        ended: clock.at(ended),
        outcome: Outcome::Acknowledged,
        refusal_expected: false,
        as_expected: true,
        status: Some(200),
        error: None,
    };
    (ended, o)
}

/// Number of operations of the golden run.
pub const OPERATIONS: usize = 628;

pub fn document(clock: Clock, i: usize) -> Document {
    let (t, o) = operation(clock, i);
    let (stamp, day) = clock.stamp(t);
    let fields = serde_json::json!({"@timestamp": stamp, "event": "request", "operation": {"id": o.id}, "status": 200});
    let fields = fields.as_object().cloned().unwrap_or_default();
    Document { index: format!("logs-api-{day}"), id: format!("doc-{i}"), fields: fields.into() }
}

/// Every second pair of operations is kept by the sampler.
pub fn is_kept(i: usize) -> bool {
    (i / 2).is_multiple_of(2)
}

pub fn spans(clock: Clock, i: usize) -> Vec<Span> {
    let (t, o) = operation(clock, i);
    let span = |n: usize, parent: Option<usize>, service: &str, name: &str| Span {
        trace_id: format!("{i:032x}"),
        span_id: format!("{:016x}", i * 10 + n),
        parent_id: parent.map(|p| format!("{:016x}", i * 10 + p)),
        service: service.into(),
        name: name.into(),
        start_us: clock.at(t).wall_us,
        duration_us: 1000,
        attributes: (n == 1 || service == "worker")
            .then(|| ("operation.id", o.id.clone().into()))
            .into_iter()
            .collect(),
    };
    if o.step == "send" {
        vec![
            span(1, None, "api", "POST /mail"),
            span(2, Some(1), "api", "publish"),
            span(3, Some(2), "worker", "deliver"),
        ]
    } else {
        vec![span(1, None, "api", "GET /mail"), span(2, Some(1), "api", "SELECT")]
    }
}

/// The golden run.
pub fn golden() -> Run {
    golden_at(Clock::default())
}

pub fn golden_at(clock: Clock) -> Run {
    let mut r = Run { clock, events: Vec::new() };
    r.run(
        0.0,
        RunEvent::Started {
            format: 1,
            id: "g".into(),
            seed: 1,
            stack: "small".into(),
            time_scale: 20.0,
        },
    );
    r.run(1.0, RunEvent::PhaseBegan { phase: Phase::Up });
    for service in ["api", "worker", "mailer", "metrics", "manager"] {
        r.push(
            10.0,
            EventKind::Stack(StackEvent::Ready {
                service: service.into(),
                after_s: 9.0,
                condition: "healthcheck".into(),
                restarts: 0,
            }),
        );
        r.push(
            190.0,
            EventKind::Stack(StackEvent::State {
                service: service.into(),
                running: true,
                restarts: 0,
                oom_killed: false,
            }),
        );
    }
    r.run(15.0, RunEvent::PhaseEnded { phase: Phase::Up })
        .run(15.1, RunEvent::PhaseBegan { phase: Phase::Steady });
    for (receiver, protocol, host, path) in [
        ("chat", Protocol::Slack, "chat.test", "/services/ops"),
        ("hook", Protocol::Webhook, "hook.test", "/hook"),
    ] {
        r.push(
            15.2,
            EventKind::Alert(AlertEvent::Declared {
                receiver: receiver.into(),
                protocol,
                host: host.into(),
                path: path.into(),
            }),
        );
    }
    r.run(
        20.0,
        RunEvent::Steady {
            held: true,
            seen: "held for 3 s".into(),
            before: Some("mailer_stopped".into()),
        },
    );
    healthy_stack(&mut r);
    r.run(23.0, RunEvent::PhaseEnded { phase: Phase::Steady })
        .run(23.1, RunEvent::PhaseBegan { phase: Phase::Drive });
    drill(&mut r, 60.0, "mailer_stopped", 0, "MailerDown", &["mailer"], false);
    r.run(
        95.0,
        RunEvent::Steady {
            held: true,
            seen: "held for 3 s".into(),
            before: Some("store_slow".into()),
        },
    );
    drill(&mut r, 100.0, "store_slow", 1, "SlowAnswers", &["store"], true);
    r.run(135.0, RunEvent::Steady { held: true, seen: "held for 3 s".into(), before: None });
    load(&mut r);
    for t in (12..180).step_by(8) {
        r.notified(f64::from(t), notification("hook", "Heartbeat", false));
    }
    for t in (16..=184).step_by(2) {
        r.saw(f64::from(t) + 0.1, "metrics", evaluations(t as u64));
    }
    r.run(175.0, RunEvent::PhaseEnded { phase: Phase::Drive })
        .run(176.0, RunEvent::PhaseBegan { phase: Phase::Drain });
    r.run(184.0, RunEvent::PhaseEnded { phase: Phase::Drain })
        .run(185.0, RunEvent::PhaseBegan { phase: Phase::Capture });
    capture(&mut r);
    r.run(195.0, RunEvent::PhaseEnded { phase: Phase::Capture })
        .run(200.0, RunEvent::Ended { complete: true, reason: None });
    for t in (16..180).step_by(4) {
        let calm = Pressure {
            cpu_some_avg10: 2.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 1.0,
            ..Pressure::default()
        };
        r.saw(f64::from(t) + 0.5, "host", Fact::Pressure(calm));
    }
    r
}

fn healthy_stack(r: &mut Run) {
    for endpoint in ["http://api:80/health", "tcp://mailer:25"] {
        r.saw(
            21.0,
            "api",
            Fact::Health(HealthAnswer {
                service: "api".into(),
                endpoint: endpoint.into(),
                ok: true,
                seen: "200".into(),
            }),
        );
    }
    r.saw(
        21.1,
        "metrics",
        Fact::Targets { targets: vec![target("api"), target("worker"), target("mailer")] },
    );
    let counts =
        ["up", "requests_total"].map(|s| SeriesCount { selector: s.into(), count: 3 }).to_vec();
    r.saw(21.2, "metrics", Fact::SeriesCount { counts });
    r.saw(21.3, "metrics", rules());
    for server in ["metrics", "manager"] {
        r.saw(
            21.4,
            server,
            Fact::Reload(Reload {
                successful: true,
                last_success_s: r.clock.wall(5.0),
                seen: "1".into(),
            }),
        );
    }
    r.saw(21.42, "metrics", Fact::Retention { seconds: Some(2_592_000.0), seen: "30d".into() });
    r.saw(21.45, "manager", Fact::Silences { silences: vec![] });
    r.saw(21.46, "metrics", Fact::Replica(replica("a")));
    r.saw(21.47, "manager", Fact::ClusterMember(cluster_member(&["manager"])));
    r.saw(
        21.5,
        "boards",
        Fact::Dashboards {
            dashboards: vec![Dashboard {
                uid: "overview".into(),
                title: "Overview".into(),
                panels: 2,
            }],
        },
    );
    r.saw(
        21.6,
        "boards",
        Fact::Datasource(Datasource {
            name: "metrics".into(),
            uid: "m".into(),
            kind: "prometheus".into(),
            ok: true,
            seen: "ok".into(),
        }),
    );
    r.saw(21.7, "boards", Fact::Panel(panel("Requests", "rate(requests_total[15s])")));
    r.saw(21.8, "boards", Fact::Panel(panel("Up", "up")));
    let errors = Panel { frames: 0, values: 0, ..panel("Errors", "errors_total") };
    r.saw(21.9, "boards", Fact::Panel(errors));
}

/// A metrics server with this external label, and where it sends its alerts.
pub fn replica(name: &str) -> Replica {
    Replica {
        external_labels: map(&[("cluster", "small"), ("replica", name)]),
        managers: strings(&["manager:9093"]),
    }
}

/// An alert manager that knows these.
pub fn cluster_member(peers: &[&str]) -> ClusterMember {
    ClusterMember {
        name: None,
        status: "ready".into(),
        peers: peers.iter().map(|p| format!("{p}:9094")).collect(),
        configuration: map(&[
            ("route", "receiver: hook\ngroup_wait: 1s\n"),
            ("receivers", "hook\n"),
        ]),
    }
}

/// The group of the rules after so many evaluations.
pub fn evaluations(evaluated: u64) -> Fact {
    Fact::Evaluations {
        groups: vec![GroupEvaluations {
            file: "rules.yml".into(),
            name: "all".into(),
            evaluated,
            failed: 0,
        }],
    }
}

pub fn rules() -> Fact {
    let rules = vec![
        rule("MailerDown", "probe_success{job=\"mailer\"} == 0"),
        rule("SlowAnswers", "latency > 2"),
        rule("Idle", "rate(x[5m]) == 0"),
    ];
    Fact::Rules {
        groups: vec![RuleGroup {
            file: "rules.yml".into(),
            name: "all".into(),
            interval_s: 1.0,
            last_evaluation_s: None,
            rules,
        }],
    }
}

pub fn drill(
    r: &mut Run,
    t: f64,
    name: &str,
    wave: u32,
    alert: &str,
    services: &[&str],
    journeys: bool,
) {
    let drill = name.to_owned();
    r.run(t, RunEvent::DrillBegan { drill: drill.clone(), wave });
    let blast_radius = BlastRadius {
        services: strings(services),
        alerts: strings(&[alert]),
        journeys,
        host: false,
    };
    r.fault(
        t + 0.5,
        FaultEvent::Injected {
            drill: drill.clone(),
            fault: ONLY_FAULT.into(),
            kind: "stop".into(),
            target: services[0].into(),
            instances: vec![],
            mechanism: "engine".into(),
            blast_radius,
        },
    );
    let fault = || ONLY_FAULT.to_owned();
    let evidence = "gone".into();
    r.fault(t + 1.0, FaultEvent::Bit { drill: drill.clone(), fault: fault(), evidence });
    for s in 1..28 {
        let alerts = if (7..=22).contains(&s) { vec![managed(alert)] } else { vec![] };
        r.saw(t + f64::from(s) + 0.2, "manager", Fact::ManagedAlerts { alerts });
    }
    for receiver in ["hook", "chat"] {
        r.notified(t + 8.0, notification(receiver, alert, false));
        r.notified(t + 24.0, notification(receiver, alert, true));
    }
    r.fault(t + 20.0, FaultEvent::Healed { drill: drill.clone(), fault: fault() });
    let evidence = "back".into();
    r.fault(t + 20.5, FaultEvent::Left { drill: drill.clone(), fault: fault(), evidence });
    r.run(t + 30.0, RunEvent::DrillEnded { drill });
}

fn load(r: &mut Run) {
    r.push(18.0, EventKind::Load(LoadEvent::Began { rate: 4.0, stream: "background".into() }));
    for i in 0..OPERATIONS {
        let (t, o) = operation(r.clock, i);
        r.push(t, EventKind::Load(LoadEvent::Operation(o)));
    }
    let summary = LoadSummary {
        offered_rate: 4.0,
        achieved_rate: 4.0,
        missed_starts: 0,
        slip_p99_ms: 3.0,
        latency_ms: Percentiles::default(),
        operations: OPERATIONS as u64,
        ..LoadSummary::default()
    };
    r.push(
        175.5,
        EventKind::Load(LoadEvent::Ended {
            stream: "background".into(),
            summary: Box::new(summary),
        }),
    );
}

fn capture(r: &mut Run) {
    let clock = r.clock;
    // In two pieces, as a long run is asked for.
    for (from, to) in [(15, 100), (101, 185)] {
        let both = [("MailerDown", 63, 66, 67, 82), ("SlowAnswers", 103, 106, 107, 122)];
        let mut all = Vec::new();
        for (alert, p0, p1, f0, f1) in both {
            if p0 >= from && f1 <= to {
                all.push(series(clock, alert, "pending", p0, p1));
                all.push(series(clock, alert, "firing", f0, f1));
            }
        }
        let samples = Samples {
            name: "alerts".into(),
            expr: "ALERTS".into(),
            start_s: clock.wall(f64::from(from)),
            end_s: clock.wall(f64::from(to)),
            step_s: 1.0,
            series: all,
        };
        r.saw(186.0, "metrics", Fact::Samples(samples));
    }
    for (alert, drill, expr, selector, c) in [
        (
            "MailerDown",
            "mailer_stopped",
            "probe_success{job=\"mailer\"} == 0",
            "probe_success{job=\"mailer\"}",
            comparison("probe_success{job=\"mailer\"}", "==", 0.0, 0.0, 1.0),
        ),
        (
            "SlowAnswers",
            "store_slow",
            "latency > 2",
            "latency",
            comparison("latency", ">", 2.0, 0.1, 4.0),
        ),
    ] {
        let selectors = vec![SeriesCount { selector: selector.into(), count: 1 }];
        let inputs = RuleInputs {
            alert: alert.into(),
            drill: Some(drill.into()),
            expr: expr.into(),
            comparisons: vec![c],
            selectors,
            bucket_bounds: vec![],
        };
        r.saw(186.1, "metrics", Fact::RuleInputs(inputs));
    }
    for (name, value) in [(up_samples("store_slow"), 1.0), (duration_samples("store_slow"), 0.1)] {
        let labels = map(&[("job", "api"), ("instance", "api:80")]);
        let points = (101..=130).map(|t| (clock.wall(f64::from(t)), Some(value))).collect();
        let (start_s, end_s) = (clock.wall(100.5), clock.wall(130.0));
        let series = vec![Series { labels, points }];
        r.saw(
            186.2,
            "metrics",
            Fact::Samples(Samples { name, expr: "up".into(), start_s, end_s, step_s: 1.0, series }),
        );
    }
    r.saw(186.2, "metrics", rules());
    let types = map(&[("@timestamp", "date"), ("status", "long")]);
    r.saw(
        187.0,
        "logs",
        Fact::FieldTypes(FieldTypes { index: format!("logs-api-{}", clock.stamp(50.0).1), types }),
    );
    for part in [0..300, 300..OPERATIONS] {
        r.saw(
            187.5,
            "logs",
            Fact::Documents {
                documents: part.map(|i| document(clock, i)).collect(),
                truncated: false,
            },
        );
    }
    let kept = (0..OPERATIONS).filter(|i| is_kept(*i)).flat_map(|i| spans(clock, i)).collect();
    r.saw(188.0, "traces", Fact::Spans { spans: kept, truncated: false });
}

/// Everything that is expected of the golden run.
pub fn expectations() -> Vec<Expectation> {
    let span = |service: &str, name: &str, parent: Option<(&str, &str)>| ExpectedSpan {
        service: service.into(),
        name: name.into(),
        parent: parent.map(|(s, n)| (s.into(), n.into())),
    };
    let traces = vec![
        ExpectedTrace {
            step: "mail/send".into(),
            spans: vec![
                span("api", "POST /mail", None),
                span("api", "publish", Some(("api", "POST /mail"))),
                span("worker", "deliver", Some(("api", "publish"))),
            ],
        },
        ExpectedTrace {
            step: "mail/list".into(),
            spans: vec![
                span("api", "GET /mail", None),
                span("api", "SELECT", Some(("api", "GET /mail"))),
            ],
        },
    ];
    let limit = StepLimit { p50_ms: 100.0, p99_ms: 500.0 };
    let baseline = Baseline {
        schema: verdict::baseline::SCHEMA,
        stack: "small".into(),
        error_rate_max: 0.01,
        operations_min: 40,
        steps: [("mail/send".to_owned(), limit), ("mail/list".to_owned(), limit)].into(),
        gate: None,
    };
    let steps = strings(&["mail/send", "mail/list"]);
    let mut all: Vec<Expectation> = vec![
        ServicesReady {
            services: strings(&["api", "worker", "mailer", "metrics", "manager"]),
            left_out: vec![],
        }
        .into(),
        HealthEndpoints {
            endpoints: strings(&["http://api:80/health", "tcp://mailer:25"]),
            left_out: vec![],
        }
        .into(),
        TargetsUp {
            targets: ["api", "worker", "mailer"]
                .map(|j| ExpectedTarget { job: j.into(), count: 1 })
                .to_vec(),
            absent: vec![],
            left_out: vec![],
        }
        .into(),
        SeriesPresent { selectors: strings(&["up", "requests_total"]), absent: vec![] }.into(),
        MetricsEndpoints {
            services: vec![("api".into(), "api".into()), ("worker".into(), "worker".into())],
            without: vec![("traces".into(), "has none".into())],
            absent: vec![],
            left_out: vec![],
        }
        .into(),
        SomebodyNotified {
            drill: "mailer_stopped".into(),
            causes: Causes::default(),
            service: "mailer".into(),
            rule: "up{job=\"mailer\"} == 0 for 1m".into(),
            least_s: 15.0,
            others: strings(&["SlowAnswers", "Heartbeat"]),
            gap: None,
        }
        .into(),
        ServicesInstrumented {
            services: strings(&["api", "worker", "mailer", "traces", "pages"]),
            scraped_by: vec![("api".into(), "api".into()), ("worker".into(), "worker".into())],
            without: vec![("traces".into(), "has none".into())],
            not_yet: vec![("pages".into(), "next quarter".into())],
        }
        .into(),
        SamplesKept {
            servers: vec![Kept {
                server: "metrics".into(),
                seconds: 2_592_000.0,
                declared: "30d".into(),
            }],
        }
        .into(),
        ConfigurationLoaded {
            servers: strings(&["metrics", "manager"]),
            alerts: strings(&["MailerDown", "SlowAnswers"]),
        }
        .into(),
        ReplicasToldApart { servers: strings(&["metrics"]) }.into(),
        SentToEachManager { managers: [("manager".to_owned(), strings(&["manager"]))].into() }
            .into(),
        ManagersClustered { managers: strings(&["manager"]) }.into(),
        ManagersAlike { managers: strings(&["manager"]) }.into(),
        AlertsHeldOnce { managers: strings(&["manager"]) }.into(),
        StatesNotifiedOnce {
            receivers: strings(&["hook", "chat"]),
            managers: strings(&["manager"]),
        }
        .into(),
        LinesStored {
            source: "api".into(),
            index_prefix: "logs-api-".into(),
            id_field: "operation.id".into(),
            select: map(&[("event", "request")]),
            steps: steps.clone(),
            required_fields: strings(&["status"]),
            least: 20,
        }
        .into(),
        FieldsTyped {
            index_prefix: "logs-api-".into(),
            source: "api".into(),
            types: map(&[("@timestamp", "date"), ("status", "long"), ("user", "keyword")]),
            optional: strings(&["user"]),
        }
        .into(),
        TracesComplete { id_attribute: "operation.id".into(), traces, least: 20 }.into(),
        SamplingRate { id_attribute: "operation.id".into(), steps, rate: 0.5, alpha: 0.001 }.into(),
        PanelsReturnData {
            dashboards: vec![ExpectedDashboard {
                uid: "overview".into(),
                panels: 2,
                may_be_empty: strings(&["Errors"]),
            }],
        }
        .into(),
        DatasourcesHealthy { names: strings(&["metrics"]), left_out: vec![] }.into(),
        LoadKeptSchedule { stream: "background".into(), missed_share: 0.01, slip_p99_ms: 100.0 }
            .into(),
        Recovered { baseline, settle_s: 2.0 }.into(),
    ];
    for (alert, drill) in [("MailerDown", "mailer_stopped"), ("SlowAnswers", "store_slow")] {
        let (alert, drill) = (alert.to_owned(), drill.to_owned());
        let receivers = strings(&["hook", "chat"]);
        all.extend([
            Expectation::from(AlertQuiet {
                alert: alert.clone(),
                allowed_in: vec![drill.clone()],
                about_host: false,
            }),
            AlertFires {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                within_s: 9.0,
                fault: format!("fault stop ({drill})"),
            }
            .into(),
            AlertReaches {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                receivers: receivers.clone(),
                labels: map(&[("severity", "critical")]),
                within_s: 12.0,
            }
            .into(),
            AlertResolves {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                receivers: receivers.clone(),
                within_s: 8.0,
            }
            .into(),
            AlertStages {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                receivers: receivers.clone(),
                labels: map(&[("severity", "critical")]),
                allowed: StageBudget {
                    condition_s: 2.0,
                    evaluation_s: 1.0,
                    hold_s: 4.0,
                    notify_s: 2.0,
                    noise_s: 0.0,
                },
            }
            .into(),
            NothingElseFires { drill: drill.clone(), allowed: vec![alert.clone()] }.into(),
            NotifiedOnce {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                receivers: strings(&["hook", "chat"]),
            }
            .into(),
            NotifiedUntilOver {
                alert: alert.clone(),
                drill: drill.clone(),
                causes: Causes::default(),
                receivers: strings(&["hook", "chat"]),
            }
            .into(),
            FaultBitAndLeft { drill, faults: vec![] }.into(),
        ]);
    }
    all.push(TargetsStayScraped { drill: "store_slow".into() }.into());
    all.push(
        NotifiedRepeatedly {
            alert: "Heartbeat".into(),
            drill: None,
            causes: Causes::default(),
            receivers: strings(&["hook"]),
            every_s: 10.0,
        }
        .into(),
    );
    all.push(AlertQuiet { alert: "Idle".into(), allowed_in: vec![], about_host: true }.into());
    all
}
