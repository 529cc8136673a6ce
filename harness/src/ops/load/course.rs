//! The course of a load: at one rate, by users, along a plan, or in search of the knee.

use super::{Arguments, Rate, Running, pace, usage};

use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure, option};
use loadgen::arrival::{self, Arrival};
use loadgen::closed_loop::MOST_USERS;
use loadgen::direct;
use loadgen::knee::{self, Search};
use loadgen::plan::Plan;
use loadgen::windows::WIDTH;
use loadgen::{Limit, Think, Users, Windows};
use std::time::Duration;
use verdict::history::load::{Judged, LoadSummary, Pacing};

/// How long each step of the search for the knee goes on, unless told otherwise.
const STEP: Duration = Duration::from_secs(10);
/// Fewest windows of a step: whether a target falls behind is seen from one to the other.
const LEAST_IN_STEP: u32 = 2;
/// Where the search begins on a URL, unless told otherwise.
const FIRST: f64 = 10.0;

/// What a load is for, besides one rate.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "LoadProfile")]
pub struct CourseOptions {
    /// Closed loop: this many users, each of whom waits for the answer, thinks and goes on. It
    /// tells how much so many users get done, and leaves out what others would have waited
    /// meanwhile (coordinated omission): for that, use a rate.
    #[arg(long, value_name = "N", value_parser = users)]
    users: Option<usize>,
    /// How long users think between an answer and the next journey, as in 1s..3s or 0s [default:
    /// each journey's own, 1s..3s with --url].
    #[arg(long, value_name = "D..D", value_parser = option(str::parse::<Think>), requires = "users")]
    think_time: Option<Think>,
    /// Search the highest rate within --objective: from --rate it is doubled until the objective
    /// breaks, then the gap is halved. --duration is that of each step [default: 10s].
    #[arg(long)]
    find_knee: bool,
    /// With --find-knee: how far above the answer the knee may lie.
    #[arg(long, value_name = "PERCENT", value_parser = precision, default_value = "5%", requires = "find_knee")]
    precision: f64,
    /// soak[:PERCENT%]: the same rate for long [default: 1h], and whether in the last quarter the
    /// median is that much above the first's [default: 10%], the 99th percentile two and a half
    /// times that much, or the error rate 1 %. spike[:TO]: from a third of the duration on a jump
    /// to TO arrivals a second [default: five times the rate] for a third, and how soon the
    /// objective holds again. breakpoint[:TO]: evenly upwards [default: to twenty times the rate]
    /// until --stop-when, or the objective breaks.
    #[arg(long, value_name = "PLAN", value_parser = option(str::parse::<Plan>))]
    plan: Option<Plan>,
    /// Stop as soon as a window shows this, as in "error_rate > 5%" or "p99 > 500ms"; may be given
    /// several times.
    #[arg(long, value_name = "CONDITION", value_parser = option(Limit::stop_when))]
    stop_when: Vec<Limit>,
    /// Length of a window, by which conditions and plans are judged [default: 1s, longer in loads
    /// of more than 4 minutes].
    #[arg(long, value_name = "D", value_parser = option(arrival::duration))]
    window: Option<Duration>,
}

fn users(text: &str) -> Result<usize, Advice> {
    let count = text.parse().ok().filter(|n| (1..=MOST_USERS).contains(n));
    count.ok_or_else(|| {
        Advice::from(format!("wanted a number of users from 1 to {MOST_USERS}"))
            .hint("as in --users 50")
    })
}

fn precision(text: &str) -> Result<f64, Advice> {
    let percent = text
        .strip_suffix('%')
        .and_then(|p| p.parse::<f64>().ok())
        .filter(|p| (0.1..=100.0).contains(p));
    percent.map(|p| p / 100.0).ok_or_else(|| {
        Advice::from("wanted a share from 0.1% to 100%").hint("as in --precision 5%")
    })
}

/// How operations are begun.
pub(super) enum Pace {
    /// On a schedule, or each connection as soon as it was answered.
    Generated(direct::Pace),
    Users(Users),
}

/// One load.
pub(super) struct Paced {
    pub pace: Pace,
    /// How long; none for a recording that is driven to its end.
    pub duration: Option<Duration>,
    pub windows: Windows,
}

/// What is to be driven.
pub(super) enum LoadProfile {
    Once(Paced),
    Plan { plan: Plan, rate: f64, duration: Duration, paced: Paced },
    Knee { search: Search, arrival: Arrival, step: Duration, windows: Windows },
}

/// What a target is driven with unless told otherwise.
pub(super) struct Defaults {
    pub rate: Option<f64>,
    pub arrival: Arrival,
    pub duration: Option<Duration>,
}

/// Two options that contradict each other, and why.
fn contradiction(arguments: &Arguments) -> Option<(&'static str, &'static str)> {
    let options = &arguments.course;
    let users = options.users.is_some();
    let contradictions = [
        (
            users && arguments.rate.is_some(),
            "--rate and --users",
            "users go on when they were answered, and have no rate",
        ),
        (
            users && arguments.arrival.is_some(),
            "--arrival and --users",
            "users go on when they were answered, and not on a schedule",
        ),
        (
            users && options.find_knee,
            "--find-knee and --users",
            "the knee is a rate, and users have none",
        ),
        (
            options.plan.is_some() && options.find_knee,
            "--find-knee and --plan",
            "each has a course of its own",
        ),
        (
            options.plan.is_some() && arguments.arrival.is_some(),
            "--arrival and --plan",
            "a plan is a shape of arrivals already",
        ),
        (
            !options.stop_when.is_empty() && options.find_knee,
            "--find-knee and --stop-when",
            "each step goes on to its end, and is judged by --objective",
        ),
    ];
    contradictions.into_iter().find(|c| c.0).map(|(_, both, why)| (both, why))
}

impl LoadProfile {
    /// What the arguments ask for.
    pub fn of(arguments: &Arguments, usual: Defaults) -> Result<LoadProfile, Failure> {
        let options = &arguments.course;
        if options.window.is_some_and(|w| w < WIDTH) {
            return Err(usage(format!(
                "--window {:?} is too short to tell anything, wanted at least {WIDTH:?}",
                options.window.unwrap_or_default()
            )));
        }
        if let Some((both, why)) = contradiction(arguments) {
            return Err(
                usage(format!("{both} contradict each other: {why}")).hint("leave one of them out")
            );
        }
        let mut windows = Windows { width: options.window, stop_when: options.stop_when.clone() };
        if options.find_knee {
            return LoadProfile::knee(arguments, usual, windows);
        }
        let users = options.users.map(|count| Users { count, think: options.think_time });
        let pacing = if users.is_some() { Pacing::Closed } else { Pacing::Open };
        let flat_out = arguments.rate == Some(Rate::Max)
            && arguments.arrival.is_none()
            && arguments.url.is_some();
        let Some(plan) = options.plan else {
            let pace = match users {
                Some(users) => Pace::Users(users),
                None if flat_out => Pace::Generated(direct::Pace::FlatOut),
                None => {
                    let (arrival, rate) = pace(arguments, (usual.rate, usual.arrival))?;
                    Pace::Generated(direct::Pace::Open { arrival, rate })
                }
            };
            let duration = arguments.duration.or(usual.duration);
            if duration.is_none()
                && !matches!(
                    pace,
                    Pace::Generated(direct::Pace::Open { arrival: Arrival::Replay(_), .. })
                )
            {
                return Err(usage("--duration is missing").hint("as in --duration 10s"));
            }
            return Ok(LoadProfile::Once(Paced { pace, duration, windows }));
        };
        if !plan.suits(pacing) {
            return Err(usage("this plan changes the rate, and users have none")
                .hint("leave out --users, or use --plan soak"));
        }
        let duration = arguments.duration.unwrap_or(plan.duration());
        long_enough("--plan", duration, plan.least_windows(), &windows)?;
        if matches!(plan, Plan::Breakpoint { .. }) && windows.stop_when.is_empty() {
            windows.stop_when = arguments.objectives().iter().map(Limit::broken).collect();
        }
        let (pace, rate) = match users {
            Some(users) => (Pace::Users(users), 0.0),
            None => {
                let (steady, rate) = pace(arguments, (usual.rate, usual.arrival))?;
                (
                    Pace::Generated(direct::Pace::Open {
                        arrival: plan.arrival(rate, duration, steady),
                        rate,
                    }),
                    rate,
                )
            }
        };
        Ok(LoadProfile::Plan {
            plan,
            rate,
            duration,
            paced: Paced { pace, duration: Some(duration), windows },
        })
    }

    /// Whether users drive it.
    pub fn has_users(&self) -> bool {
        matches!(self, LoadProfile::Once(paced) | LoadProfile::Plan { paced, .. } if matches!(paced.pace, Pace::Users(_)))
    }

    /// The pace and duration of a load that several workers share: they have no windows that a
    /// course could be judged by.
    ///
    /// # Errors
    /// It is another course than one rate.
    pub fn of_workers(self) -> Result<(direct::Pace, Option<Duration>), Failure> {
        match self {
            LoadProfile::Once(Paced { pace: Pace::Generated(pace), duration, windows })
                if windows == Windows::default() =>
            {
                Ok((pace, duration))
            }
            _ => Err(usage("workers drive a --rate or a shape of arrivals only so far")
                .hint("leave out --users, --plan, --find-knee, --stop-when and --window")),
        }
    }

    fn knee(
        arguments: &Arguments,
        usual: Defaults,
        windows: Windows,
    ) -> Result<LoadProfile, Failure> {
        if arguments.objective.is_empty() {
            return Err(usage(
                "--find-knee needs an objective: the knee is the highest rate within it",
            )
            .hint("as in --objective p99<=250ms,errors<=1%"));
        }
        let (arrival, rate) = pace(arguments, (Some(usual.rate.unwrap_or(FIRST)), usual.arrival))?;
        if !matches!(arrival, Arrival::Constant | Arrival::Poisson) {
            return Err(usage("each step of --find-knee has one rate")
                .hint("--arrival constant or poisson, or leave it out"));
        }
        let step = arguments.duration.unwrap_or(STEP);
        long_enough("--find-knee", step, LEAST_IN_STEP, &windows)?;
        Ok(LoadProfile::Knee {
            search: Search::new(rate, arguments.course.precision),
            arrival,
            step,
            windows,
        })
    }

    /// Follows it: `drive` is called for each load. What is told is the load, or, of a search, the
    /// one that is its answer (the first one if none is).
    pub async fn follow(
        self,
        arguments: &Arguments,
        running: &Running,
        drive: impl AsyncFn(Paced) -> Result<LoadSummary, Failure>,
    ) -> Result<LoadSummary, Failure> {
        match self {
            LoadProfile::Once(paced) => drive(paced).await,
            LoadProfile::Plan { plan, rate, duration, paced } => {
                let mut summary = drive(paced).await?;
                summary.plan = Some(plan.told(
                    rate,
                    duration,
                    &summary,
                    &arguments.objectives(),
                    running.seed,
                ));
                Ok(summary)
            }
            LoadProfile::Knee { mut search, arrival, step, windows } => {
                let mut told: Option<LoadSummary> = None;
                while let Some(rate) = search.next() {
                    running.progress.say(&format!("{rate} a second:"));
                    let pace =
                        Pace::Generated(direct::Pace::Open { arrival: arrival.clone(), rate });
                    let summary =
                        drive(Paced { pace, duration: Some(step), windows: windows.clone() })
                            .await?;
                    if running.interrupt.asked() {
                        break;
                    }
                    let measured =
                        knee::judge(rate, &summary, &arguments.objective, arguments.max_slip);
                    running.progress.say(&super::table::step(&measured));
                    if told.is_none() || measured.judged == Judged::Within {
                        told = Some(summary);
                    }
                    search.measured(measured);
                }
                let mut told = told.ok_or_else(|| {
                    Failure::new(Exit::Interrupted, "interrupted before a rate was measured")
                })?;
                told.knee = Some(search.answer(&arguments.objective));
                Ok(told)
            }
        }
    }
}

fn long_enough(
    what: &str,
    duration: Duration,
    least: u32,
    windows: &Windows,
) -> Result<(), Failure> {
    let wanted = windows.width.unwrap_or(WIDTH) * least;
    if duration >= wanted {
        return Ok(());
    }
    Err(usage(format!(
        "--duration {duration:?} is too short for {what}, wanted at least {wanted:?}"
    ))
    .hint(format!("it is judged by {least} windows or more")))
}
