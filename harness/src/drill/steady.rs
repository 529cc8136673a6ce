//! The steady state: what `firedrill.yaml` states as healthy, held for a stated time. A drill on a
//! stack that was not healthy to begin with proves nothing, so each wave is preceded by it.

use super::traffic::Stream;
use super::{Error, Session};
use crate::declaration::DeclaredTarget;
use crate::probe::{Probe, Question};
use config::timescale::scrapes_fit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use verdict::At;
use verdict::check::scraping::answers_without_metrics;
use verdict::history::run::RunEvent;
use verdict::left_out::{self, AbsentService};
use verdict::observation::Fact;
use verdict::observation::metrics::{Samples, Target};
use verdict::scrapes::{self, STEADY_SCRAPES};

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long a metrics server may take until it watches.
const WATCHED_WITHIN: Duration = Duration::from_secs(20);

/// Waits until the metrics server watches: every declared job has its targets, each was scraped, each
/// group of rules was evaluated twice, and no alert of the boot is active any more. A server that has
/// just started knows no target for some seconds, so that none would be down. Where that has not come
/// 20 s after the stack was `up`, it is judged as it is.
///
/// # Errors
/// The run was interrupted.
pub async fn watched(session: &Session, up: At) -> Result<(), Error> {
    if session.probes.metrics.is_empty() {
        return Ok(());
    }
    let until_us = up.mono_us + WATCHED_WITHIN.as_micros() as i64;
    while session.clock().now().mono_us < until_us && !watch(session).await {
        session.interrupted()?;
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Whether each metrics server watches, and nothing is wrong.
async fn watch(session: &Session) -> bool {
    for metrics in &session.probes.metrics {
        if !watches(session, metrics.as_ref()).await {
            return false;
        }
    }
    wrong_now(session, None, &BTreeSet::new(), &BTreeSet::new()).await.is_none()
}

async fn watches(session: &Session, metrics: &dyn Probe) -> bool {
    let set = session.set_of(metrics.source());
    let mut facts = metrics.ask(&Question::Targets).await;
    facts.extend(metrics.ask(&Question::Evaluations).await);
    let (mut targets, mut rules) = (false, false);
    for observation in &facts {
        match &observation.fact {
            Fact::Targets { targets: seen } => {
                let declared = session.declaration.targets.iter();
                let mut declared = declared
                    .filter(|t| t.is_in(&set))
                    .filter(|t| !session.absent.iter().any(|absent| absent.jobs.contains(&t.job)));
                targets = declared.all(|t| seen.iter().any(|s| s.job == t.job));
            }
            Fact::Evaluations { groups } => rules = groups.iter().all(|g| g.evaluated >= 2),
            _ => {}
        }
    }
    targets && rules
}

/// Awaits the steady state, and records whether it held. `before` names the drill or wave that
/// follows.
///
/// # Errors
/// The record can't be written, or the run was interrupted.
pub async fn hold(
    session: &Session,
    load: Option<&Stream>,
    before: Option<String>,
) -> Result<bool, Error> {
    hold_with(session, load, before, &BTreeSet::new(), &BTreeSet::new()).await
}

/// The same while faults that were injected early may have raised some alerts, and before drills
/// that are about others: these must be silent even if they speak of the host, since one that fires
/// already can't be proved.
///
/// # Errors
/// As [`hold`].
pub async fn hold_with(
    session: &Session,
    load: Option<&Stream>,
    before: Option<String>,
    raised: &BTreeSet<&str>,
    about: &BTreeSet<&str>,
) -> Result<bool, Error> {
    let steady = &session.declaration.steady_state;
    let began = Instant::now();
    let mut since: Option<Instant> = None;
    loop {
        session.interrupted()?;
        let wrong = wrong_now(session, load, raised, about).await;
        match &wrong {
            None => {
                let held = since.get_or_insert_with(Instant::now).elapsed();
                if held.as_secs_f64() >= steady.hold_s {
                    session.record(RunEvent::Steady {
                        held: true,
                        seen: format!("held for {:.1} s", held.as_secs_f64()),
                        before,
                    })?;
                    return Ok(true);
                }
            }
            Some(_) => since = None,
        }
        if began.elapsed().as_secs_f64() > steady.within_s {
            let seen = wrong.unwrap_or_else(|| "it did not hold long enough".into());
            session
                .progress
                .say(&format!("no steady state within {:.0} s: {seen}", steady.within_s));
            session.record(RunEvent::Steady { held: false, seen, before })?;
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Records how long scrapes take, and ends the run if they don't fit into half of their scaled
/// timeouts.
///
/// # Errors
/// They don't; or the record can't be written.
pub async fn check_scrape_headroom(session: &Session) -> Result<(), Error> {
    let Some((written, n)) = session.scrape_check.as_ref() else { return Ok(()) };
    let question = Question::Range {
        name: STEADY_SCRAPES.into(),
        expr: "scrape_duration_seconds".into(),
        start_s: session.traffic_since.wall_s(),
        end_s: session.clock().now().wall_s(),
        step_s: 0.0,
    };
    let mut answers = Vec::new();
    for metrics in &session.probes.metrics {
        answers.extend(metrics.ask(&question).await);
    }
    let mut samples: Vec<Samples> = answers
        .iter()
        .filter_map(
            |o| if let Fact::Samples(samples) = &o.fact { Some(samples.clone()) } else { None },
        )
        .collect();
    // A service that is left out does not answer, however long one waits.
    samples.iter_mut().for_each(|samples| left_out::retain(samples, &session.absent));
    let p99: BTreeMap<String, Duration> = samples
        .iter()
        .flat_map(|samples| scrapes::p99(samples, session.declaration.alpha))
        .filter_map(|(job, s)| Some((job, Duration::try_from_secs_f64(s).ok()?)))
        .collect();
    session.observe(answers)?;
    if scrapes_fit(written, *n, &p99) { Ok(()) } else { Err(Error::ScaleTooHigh(p99)) }
}

/// The first target that is down, but for those of services that are left out, or that answer
/// without metrics and are declared as not instrumented yet. That one of these is up is for the
/// verdicts to tell.
pub(super) fn down(
    targets: &[Target],
    absent: &[AbsentService],
    declared: &[DeclaredTarget],
) -> Option<String> {
    let awaited = |t: &Target| {
        answers_without_metrics(&t.last_error)
            && declared.iter().any(|d| d.job == t.job && d.not_instrumented.is_some())
    };
    let down =
        targets.iter().find(|t| !t.up && left_out::owner(absent, t).is_none() && !awaited(t))?;
    Some(format!("target {} of job {} is down: {}", down.instance, down.job, down.last_error))
}

/// What is not as it should be, if anything.
async fn wrong_now(
    session: &Session,
    load: Option<&Stream>,
    raised: &BTreeSet<&str>,
    about: &BTreeSet<&str>,
) -> Option<String> {
    let steady = &session.declaration.steady_state;
    if let Some(live) = load.map(|l| *l.live.borrow()) {
        if live.operations == 0 {
            return Some("no operation has ended yet".into());
        }
        if live.error_rate > steady.error_rate {
            return Some(format!(
                "{:.1} % of operations end otherwise than wanted",
                live.error_rate * 100.0
            ));
        }
        if live.p99_ms > steady.p99_ms {
            return Some(format!("the 99th percentile of latency is {:.0} ms", live.p99_ms));
        }
    }
    if session.probes.metrics.is_empty() {
        return None;
    }
    // What the host itself suffers from others is no reason to wait.
    let about_host = session
        .declaration
        .alerts
        .iter()
        .filter(|a| a.about_host && !about.contains(a.name.as_str()))
        .map(|a| &a.name);
    let switches = session.declaration.dead_mans_switches.iter().map(|s| &s.name);
    let allowed: Vec<&String> = steady.alerts.iter().chain(about_host).chain(switches).collect();
    for metrics in &session.probes.metrics {
        for observation in metrics.ask(&Question::Targets).await {
            match observation.fact {
                Fact::Targets { targets } => {
                    if let Some(down) =
                        down(&targets, &session.absent, &session.declaration.targets)
                    {
                        return Some(down);
                    }
                }
                Fact::Unreachable { error, .. } => {
                    return Some(format!("{} does not answer: {error}", metrics.source()));
                }
                _ => {}
            }
        }
    }
    let Some(active) = session.active_alerts().await else {
        return Some("the metrics server does not say which alerts are active".into());
    };
    active
        .into_iter()
        .find(|a| !allowed.contains(&a) && !raised.contains(a.as_str()))
        .map(|a| format!("alert {a} is active"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(job: &str, address: &str, up: bool) -> Target {
        Target {
            job: job.into(),
            instance: address.into(),
            labels: BTreeMap::new(),
            scrape_url: format!("http://{address}/metrics"),
            up,
            last_error: if up { String::new() } else { "no such host".into() },
            age_s: Some(1.0),
            interval_s: 1.0,
            duration_s: 0.1,
            timeout_s: 1.0,
        }
    }

    #[test]
    fn a_target_that_is_down_matters_unless_its_service_is_left_out() {
        let absent = [AbsentService {
            service: "boards".into(),
            jobs: vec!["boards".into()],
            hosts: vec!["boards".into()],
        }];
        let missing = target("boards", "boards:3000", false);
        let seen = |targets: &[Target], absent: &[AbsentService]| down(targets, absent, &[]);
        assert_eq!(seen(&[target("web", "web:80", true), missing.clone()], &absent), None);
        assert_eq!(
            seen(std::slice::from_ref(&missing), &[]).unwrap(),
            "target boards:3000 of job boards is down: no such host"
        );
        let other = target("web", "web:80", false);
        assert_eq!(
            seen(&[missing, other.clone()], &absent).unwrap(),
            "target web:80 of job web is down: no such host"
        );
        // A job that is shared: only the target at the missing service's address is excused.
        let shared = [AbsentService {
            service: "boards".into(),
            jobs: vec![],
            hosts: vec!["boards".into()],
        }];
        assert_eq!(seen(&[target("web", "boards:3000", false)], &shared), None);
        assert!(
            seen(&[target("web", "boards:3000", false), other], &shared)
                .unwrap()
                .contains("web:80")
        );
    }

    #[test]
    fn a_target_that_is_declared_as_not_instrumented_may_answer_without_metrics() {
        let declared = |not_instrumented: Option<&str>| {
            [DeclaredTarget {
                job: "web".into(),
                service: "web".into(),
                from: None,
                count: 1,
                not_instrumented: not_instrumented.map(str::to_owned),
                set: None,
            }]
        };
        let answers =
            |error: &str| [Target { last_error: error.into(), ..target("web", "web:80", false) }];
        let page = answers("server returned HTTP status 404 Not Found");
        assert_eq!(down(&page, &[], &declared(Some("next quarter"))), None);
        assert!(down(&page, &[], &declared(None)).is_some());
        // One that does not answer at all is down, whatever is declared.
        assert!(down(&answers("connection refused"), &[], &declared(Some("later"))).is_some());
    }
}
