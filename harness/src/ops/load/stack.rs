//! The load of a stack's workload.

use super::course::{Defaults, LoadProfile, Pace, Paced};
use super::{Arguments, Running, usage};
use crate::drill::annotation::Annotations;
use crate::drill::traffic;
use crate::journal::Journal;
use crate::ops::console::Console;
use crate::ops::live::LiveStack;
use crate::ops::options::Options;
use crate::ops::settings::Common;
use crate::ops::up;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::yaml::suggest;
use loadgen::{Arrival, Bounds, Network, RunClock, Workload, direct};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;

/// How long a stack is driven unless told otherwise.
const DURATION: Duration = Duration::from_secs(60);

/// Drives it.
pub(super) async fn drive(
    arguments: &Arguments,
    common: &Common,
    running: &Running,
    console: &dyn Console,
) -> Result<LoadSummary, Failure> {
    let options =
        Options::new(&arguments.stack, &Common { seed: Some(running.seed), ..common.clone() });
    let declaration = options.read()?.subject.declaration.clone();
    let declared = declaration.workload.clone().ok_or_else(|| {
        usage(format!("stack {} has no workload", arguments.stack))
            .hint("state in its firedrill.yaml which traffic it serves, or name a --url")
    })?;
    let course = LoadProfile::of(
        arguments,
        Defaults { rate: Some(declared.rate), arrival: Arrival::Poisson, duration: Some(DURATION) },
    )?;
    let journeys = if arguments.journey.is_empty() {
        declared.weights()
    } else {
        let known = declared.journey_names();
        arguments.journey.iter().map(|text| journey(text, &known)).collect::<Result<Vec<_>, _>>()?
    };
    let up = up::running(&Journal::of_user(), &options.name_or_word()).ok();
    let brought = match &up {
        Some(_) => None,
        None => Some(LiveStack::up(&options).await?),
    };
    let Some(stack) = up.as_ref().or(brought.as_ref().map(|b| &b.running)) else {
        return Err(Failure::new(Exit::Defect, "no stack is up"));
    };
    let asked = match arguments.rate {
        Some(super::Rate::PerSecond(rate)) => rate,
        _ => declared.rate,
    };
    let noted = Annotations::load(&declaration, stack, asked);
    let traffic = traffic::traffic(&declared, |place| traffic::published(stack, place));
    let driven = match traffic {
        Ok((traffic, places)) => {
            let (rate, arrival) = (declared.rate, Arrival::Poisson);
            let workload = Workload {
                rate,
                arrival,
                traffic,
                journeys,
                places,
                seed: running.seed,
                stream: "load".into(),
            };
            course
                .follow(arguments, running, async |paced| {
                    drive_workload(&workload, &[], paced, arguments, running).await
                })
                .await
        }
        Err(e) => Err(e.into()),
    };
    if let Some(noted) = noted
        && let Err(why) = noted.load_ended().await
    {
        running.progress.say(&format!("the load is not noted on the dashboards: {why}"));
    }
    // What was brought up for it goes with it, however it ended.
    match brought {
        Some(live) if common.keep => live.keep(console).await?,
        Some(live) => live.down().await?,
        None => {}
    }
    driven
}

pub(super) async fn drive_workload(
    workload: &Workload,
    networks: &[Network],
    paced: Paced,
    arguments: &Arguments,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let (mut workload, mut users) = (workload.clone(), None);
    match paced.pace {
        Pace::Generated(direct::Pace::Open { arrival, rate }) => {
            (workload.arrival, workload.rate) = (arrival, rate)
        }
        Pace::Users(those) => users = Some(those),
        Pace::Generated(direct::Pace::FlatOut) => {
            return Err(Failure::new(Exit::Defect, "a workload is never driven flat out"));
        }
    }
    workload.check().map_err(|e| Failure::of_load(Exit::Usage, e))?;
    let bounds = Bounds {
        duration: paced.duration,
        users,
        windows: paced.windows,
        deadline: arguments.timeout,
        slip_limit: arguments.max_slip,
        networks: networks.to_vec(),
        // What arrives is not judged here.
        sinks_still: Duration::ZERO,
        sinks_bound: Duration::ZERO,
        ..Bounds::default()
    };
    let (stop, began, duration) = (CancellationToken::new(), Instant::now(), bounds.duration);
    let clock = RunClock { start: began, wall_at_start_us: crate::process::clock::wall_us() };
    let (events, mut arriving) = mpsc::channel(4096);
    let (live_out, mut live) = watch::channel(loadgen::LiveStats::default());
    let stopping = stop.clone();
    let mut driven = loadgen::on_own_thread("load", move || {
        loadgen::run_with(workload, clock, bounds, stopping, events, live_out)
    })
    .map_err(super::no_thread)?;
    // Nothing is kept of single operations.
    tokio::spawn(async move { while arriving.recv().await.is_some() {} });
    let mut next = Duration::from_secs(1);
    let summary = loop {
        tokio::select! {
            done = &mut driven => break done,
            () = running.interrupt.wait(), if !stop.is_cancelled() => stop.cancel(),
            Ok(()) = live.changed() => {
                let seen = *live.borrow_and_update();
                if began.elapsed() >= next {
                    running.tell(seen, began.elapsed(), duration);
                    next = began.elapsed() + Duration::from_millis(900);
                }
            }
        }
    };
    summary.map_err(|e| Failure::new(Exit::Defect, format!("the load ended early: {e}")))
}

/// A journey and its weight, as written on the command line.
pub(super) fn journey(text: &str, known: &BTreeSet<String>) -> Result<(String, f64), Failure> {
    let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
    let weight =
        weight.parse::<f64>().ok().filter(|w| w.is_finite() && *w >= 0.0).ok_or_else(|| {
            usage(format!("journey {text:?}: {weight:?} is no weight"))
                .hint("as in --journey NAME=5")
        })?;
    if !known.contains(name) {
        let known = known.iter().map(String::as_str);
        return Err(
            usage(format!("there is no journey {name}")).hint(suggest(name, known, "journeys"))
        );
    }
    Ok((name.to_owned(), weight))
}
