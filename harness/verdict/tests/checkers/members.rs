//! The laws of several servers in one role: nobody is rescued, nobody is overlooked.

use super::golden::{Run, evaluations, expectations, golden};
use std::sync::LazyLock;
use verdict::check::Expectation;
use verdict::check::members::{Quantifier, Role};
use verdict::history::fault::FaultEvent;
use verdict::history::load::LoadEvent;
use verdict::observation::asked::Asked;
use verdict::observation::metrics::Reload;
use verdict::{EventKind, Fact, History, Observation, Status, Verdict};

/// The metrics server of the golden run, and the one that stands beside it.
const A: &str = "metrics";
const B: &str = "metrics-b";

fn both() -> Vec<String> {
    vec![A.to_owned(), B.to_owned()]
}

/// What is wrong, and how a run comes to be so.
type Corruption = (&'static str, fn(Run) -> Run);

/// What can be wrong with what a metrics server says. The first is a server that is well.
const CORRUPTIONS: [Corruption; 15] = [
    ("well", |run| run),
    ("one alert is late", |run| run.alert_later("MailerDown", 5.0)),
    ("one alert never fires", |run| {
        run.never("SlowAnswers", "firing").never("SlowAnswers", "pending")
    }),
    ("one alert fires unasked", |run| {
        run.facts(|_, _, f| {
            if let Fact::Samples(s) = f {
                for series in s.series.iter_mut().filter(|s| s.labels.contains_key("alertstate")) {
                    series.labels.insert("alertname".into(), "Idle".into());
                }
            }
        })
    }),
    ("no alerts were read", |run| {
        without(run, |f| matches!(f, Fact::Samples(s) if s.name == "alerts"))
    }),
    ("no rules", |run| {
        run.facts(|_, _, f| {
            if let Fact::Rules { groups } = f {
                groups.clear();
            }
        })
    }),
    ("nothing is evaluated", |run| {
        run.facts(|_, _, f| {
            if matches!(f, Fact::Evaluations { .. }) {
                *f = evaluations(3);
            }
        })
    }),
    ("evaluations were not read", |run| without(run, |f| matches!(f, Fact::Evaluations { .. }))),
    ("a target is missing", |run| {
        run.facts(|_, _, f| {
            if let Fact::Targets { targets } = f {
                targets.pop();
                targets.remove(0);
            }
        })
    }),
    ("a target is down", |run| {
        run.facts(|_, _, f| {
            if let Fact::Targets { targets } = f {
                targets[0].up = false;
            }
        })
    }),
    ("no series", |run| {
        run.facts(|_, _, f| {
            if let Fact::SeriesCount { counts } = f {
                counts.iter_mut().for_each(|c| c.count = 0);
            }
        })
    }),
    ("a reload failed", |run| {
        run.facts(|_, source, f| {
            if source == A && matches!(f, Fact::Reload(_)) {
                let seen = "0".to_owned();
                *f = Fact::Reload(Reload { successful: false, last_success_s: 0.0, seen });
            }
        })
    }),
    ("a target goes unscraped under load", |run| {
        run.facts(|_, _, f| {
            if let Fact::Samples(s) = f
                && s.name.contains("store_slow")
            {
                let points = s.series.iter_mut().flat_map(|s| s.points.iter_mut());
                points.for_each(|p| p.1 = Some(0.0));
            }
        })
    }),
    ("alerts are sent nowhere", |run| {
        run.facts(|_, _, f| {
            if let Fact::Replica(replica) = f {
                replica.managers.clear();
            }
        })
    }),
    ("silent", |run| without(run, |_| true)),
];

/// Without those facts of the metrics server.
fn without(run: Run, unwanted: impl Fn(&Fact) -> bool) -> Run {
    run.without(|_, k| matches!(k, EventKind::Observation(o) if o.source == A && unwanted(&o.fact)))
}

/// The run of two servers: everything of `a`, and what the metrics server of `b` says, under the
/// name of the second.
fn united(a: &Run, b: &Run) -> History {
    let of_b = b.events.iter().filter_map(|(t, k)| match k {
        EventKind::Observation(o) if o.source == A => {
            let mut o = Observation { source: B.into(), ..o.clone() };
            // It carries a label of its own, as it has to.
            if let Fact::Replica(replica) = &mut o.fact {
                replica.external_labels.insert("replica".into(), "b".into());
            }
            Some((*t, EventKind::Observation(o)))
        }
        _ => None,
    });
    let mut both = a.clone();
    both.events.extend(of_b);
    both.history()
}

/// The golden run without what no metrics server has a part in.
fn lean() -> Run {
    golden().without(|_, k| match k {
        EventKind::Load(LoadEvent::Operation(_)) => true,
        EventKind::Observation(o) => {
            matches!(o.fact, Fact::Documents { .. } | Fact::Spans { .. })
        }
        _ => false,
    })
}

fn broken(which: usize) -> Run {
    CORRUPTIONS[which].1(lean())
}

/// The expectation where both servers are declared.
fn of_both(e: &Expectation) -> Expectation {
    let mut e = e.clone();
    if let Expectation::ConfigurationLoaded(c) = &mut e {
        c.servers.push(B.to_owned());
    }
    if let Expectation::ReplicasToldApart(c) = &mut e {
        c.servers.push(B.to_owned());
    }
    e
}

fn judged(e: &Expectation, history: &History) -> Verdict {
    let members = match e.rests_on() {
        Some(rests_on) if rests_on.role == Role::Alerting => vec!["manager".to_owned()],
        _ => both(),
    };
    of_both(e).judge_members(history, &members)
}

fn resting(quantifier: Quantifier) -> impl Fn(&Expectation) -> bool {
    move |e| e.rests_on().is_some_and(|r| r.role == Role::Metrics && r.quantifier == quantifier)
}

/// What metrics servers answer for.
fn about_metrics() -> Vec<Expectation> {
    expectations().into_iter().filter(|e| e.rests_on().is_some()).collect()
}

/// By corruption and expectation: the verdicts on the one server.
static ALONE: LazyLock<Vec<Vec<Verdict>>> = LazyLock::new(|| {
    let judged = |which| {
        let history = broken(which).history();
        about_metrics().iter().map(|e| e.judge(&history)).collect()
    };
    (0..CORRUPTIONS.len()).map(judged).collect()
});

/// By corruption of the first and of the second, and by expectation: the verdicts on both.
static BESIDE: LazyLock<Vec<Vec<Vec<Verdict>>>> = LazyLock::new(|| {
    let (all, which) = (about_metrics(), 0..CORRUPTIONS.len());
    let beside = |a, b| {
        let history = united(&broken(a), &broken(b));
        all.iter().map(|e| judged(e, &history)).collect()
    };
    which.clone().map(|a| which.clone().map(|b| beside(a, b)).collect()).collect()
});

/// Each pair of servers: their corruptions, the verdict on the one, on the other, on both.
fn pairs(quantifier: Quantifier, law: impl Fn(usize, usize, [&Verdict; 3])) {
    let (all, which) = (about_metrics(), 0..CORRUPTIONS.len());
    let mut asked = 0;
    for (a, b) in which.clone().flat_map(|a| which.clone().map(move |b| (a, b))) {
        for i in (0..all.len()).filter(|i| resting(quantifier)(&all[*i])) {
            asked += 1;
            law(a, b, [&ALONE[a][i], &ALONE[b][i], &BESIDE[a][b][i]]);
        }
    }
    assert!(asked > 0, "nothing was tried");
}

fn named(a: usize, b: usize) -> String {
    format!("{A} ({}) and {B} ({})", CORRUPTIONS[a].0, CORRUPTIONS[b].0)
}

#[test]
fn every_corruption_is_seen_by_some_checker() {
    // Guards the laws themselves: what nothing convicts tries nothing.
    let all: Vec<Expectation> = expectations();
    let healthy = lean().history();
    for (name, corrupt) in &CORRUPTIONS[1..] {
        let history = corrupt(lean()).history();
        let seen = all.iter().any(|e| e.judge(&history).status != e.judge(&healthy).status);
        assert!(seen, "{name} changes no verdict");
    }
}

#[test]
fn a_server_that_is_broken_is_not_rescued_by_another() {
    for quantifier in [Quantifier::Each, Quantifier::Some] {
        pairs(quantifier, |a, b, [of_a, of_b, v]| {
            let neither = of_a.status != Status::Pass && of_b.status != Status::Pass;
            assert!(!neither || v.status != Status::Pass, "{}: {v:#?}", named(a, b));
        });
    }
}

#[test]
fn a_server_that_is_broken_is_convicted_beside_one_that_is_well_and_named() {
    pairs(Quantifier::Each, |a, b, [of_a, of_b, v]| {
        if of_a.status == Status::Pass && of_b.status == Status::Fail {
            assert_eq!((v.status, v.cause), (Status::Fail, of_b.cause), "{}: {v:#?}", named(a, b));
            assert!(v.reason.starts_with(&format!("{B}: ")), "{}: {v:#?}", named(a, b));
            assert!(v.hint.is_some() && !v.witnesses.is_empty(), "{v:#?}");
        }
    });
}

#[test]
fn one_that_is_well_is_enough_where_some_is_asked() {
    pairs(Quantifier::Some, |a, b, [of_a, of_b, v]| {
        if of_a.status == Status::Pass || of_b.status == Status::Pass {
            assert_eq!(v.status, Status::Pass, "{}: {v:#?}", named(a, b));
        }
    });
}

#[test]
fn a_declared_server_that_never_answers_leaves_nothing_passed() {
    let silent = lean().history();
    let mut unreachable = lean();
    unreachable.saw(
        21.1,
        B,
        Fact::Unreachable { question: Asked::Targets, error: "connection refused".into() },
    );
    for (history, says) in [
        (silent, "nothing in the record is from it"),
        (unreachable.history(), "connection refused"),
    ] {
        for e in expectations().into_iter().filter(resting(Quantifier::Each)) {
            let v = judged(&e, &history);
            assert_ne!(v.status, Status::Pass, "{v:#?}");
            assert!(v.reason.contains(B), "{v:#?}");
            assert!(v.status == Status::Fail || v.reason.contains(says), "{v:#?}");
        }
    }
}

#[test]
fn exchanging_two_servers_changes_nothing_but_names() {
    let gist = |v: Verdict| {
        let text = [v.reason, v.hint.unwrap_or_default()].join("\n");
        let mut parts: Vec<String> = text
            .replace(B, A)
            .split(['\n', ';', '(', ')'])
            .map(|part| part.trim().replace(&format!("{A}: "), "").replace(&format!("{A}, "), ""))
            .collect();
        parts.sort();
        parts.dedup();
        (v.id, v.status, v.cause, parts)
    };
    for a in 0..CORRUPTIONS.len() {
        for b in 0..a {
            for (v, w) in BESIDE[a][b].iter().zip(&BESIDE[b][a]) {
                let (v, w) = (gist(v.clone()), gist(w.clone()));
                assert_eq!((&v.0, v.1), (&w.0, w.1), "{}", named(a, b));
                if a == 0 || b == 0 {
                    assert_eq!(v, w, "{}", named(a, b));
                }
            }
        }
    }
}

#[test]
fn a_copy_changes_no_verdict() {
    for (which, (name, _)) in CORRUPTIONS.iter().enumerate() {
        let (one, two) = (broken(which).history(), united(&broken(which), &broken(which)));
        for e in expectations() {
            let (v, w) = (e.judge(&one), judged(&e, &two));
            assert_eq!((v.status, v.cause), (w.status, w.cause), "{name}: {v:#?} {w:#?}");
            let counts =
                |v: &Verdict| v.evidence.iter().map(|e| e.what.clone()).collect::<Vec<_>>();
            assert_eq!(counts(&v), counts(&w), "{name}");
        }
    }
}

#[test]
fn counters_of_two_servers_are_not_read_as_one_that_begins_anew() {
    // Neither evaluates anything; read in turn their counters rise and fall, and each fall would
    // count as a restart with hundreds of evaluations behind it.
    let stuck = |count: u64| {
        lean().facts(move |_, _, f| {
            if matches!(f, Fact::Evaluations { .. }) {
                *f = evaluations(count);
            }
        })
    };
    let history = united(&stuck(900), &stuck(300));
    for e in expectations() {
        if matches!(e, Expectation::AlertQuiet(_) | Expectation::NothingElseFires(_)) {
            let v = judged(&e, &history);
            assert_eq!(v.status, Status::Unknown, "{v:#?}");
            assert!(v.reason.contains("evaluated 0 times"), "{v:#?}");
        }
    }
}

#[test]
fn a_server_is_excused_in_the_drill_that_takes_it_and_in_no_other() {
    let taken = |which: usize, drill: &str| {
        let mut run = lean();
        for (_, k) in &mut run.events {
            if let EventKind::Fault(FaultEvent::Injected { drill: d, instances, .. }) = k
                && d == drill
            {
                *instances = vec![B.to_owned()];
            }
        }
        united(&run, &broken(which))
    };
    let fires = |alert: &str| {
        expectations()
            .into_iter()
            .find(|e| e.checker().id() == format!("alert.{alert}.fires"))
            .unwrap()
    };
    // The second server never raises SlowAnswers (2).
    let e = fires("SlowAnswers");
    let v = judged(&e, &taken(2, "store_slow"));
    assert_eq!(v.status, Status::Pass, "{v:#?}");
    let v = judged(&e, &taken(2, "mailer_stopped"));
    assert_eq!((v.status, v.cause.is_some()), (Status::Fail, true), "{v:#?}");
}

#[test]
fn a_fault_that_takes_every_server_excuses_none() {
    let mut run = lean();
    for (_, k) in &mut run.events {
        if let EventKind::Fault(FaultEvent::Injected { instances, .. }) = k {
            *instances = both();
        }
    }
    let never = CORRUPTIONS[2].1(run);
    let history = united(&never, &never);
    let fires: Vec<Verdict> = expectations()
        .iter()
        .filter(|e| e.checker().id() == "alert.SlowAnswers.fires")
        .map(|e| judged(e, &history))
        .collect();
    assert!(matches!(fires.as_slice(), [v] if v.status == Status::Fail), "{fires:#?}");
}
