//! Only the traffic, of one URL or of a stack's workload.

mod course;
mod fleet;
mod judged;
mod page;
mod place;
mod stack;
mod table;
mod traffic;
mod url;

pub use table::text;

use crate::ops::console::Console;
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure, option};
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use crate::report::html::write_page;
use loadgen::Limit;
use loadgen::arrival::{self, Arrival, ShapeError};
use loadgen::direct::LONGEST_TIMEOUT;
use loadgen::template::RequestError;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use verdict::history::load::LoadSummary;

/// Arguments of `load`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Latency counts from the instant at which the schedule wanted an operation, service time from when it was sent. A \
load that missed starts, slipped behind its schedule or was itself the bottleneck is invalid: exit code 2, never a pass. Exit code 1 says \
that an objective does not hold."
)]
pub struct Arguments {
    /// Stack whose workload (firedrill.yaml) is driven: the one that is up, else it is brought up
    /// for it and removed after it.
    #[arg(default_value = "email", conflicts_with = "url")]
    stack: String,
    /// Drive this URL instead, on the loopback interface or on a network of a stack of ours,
    /// nothing else: http, https, smtp (smtps, smtp+starttls), imap (imaps), otlp+grpc, otlp+http,
    /// lines+tcp://HOST:PORT, or lines+file:PATH.
    #[arg(long)]
    url: Option<String>,
    /// Arrivals a second, or `max` with --url: each connection sends as soon as it was answered
    /// [default: the workload's].
    #[arg(long, value_name = "N")]
    rate: Option<Rate>,
    /// How long arrivals go on, with its unit: 500ms, 10s, 2m, 1h [default with a stack: 1m].
    #[arg(long, short, value_name = "D", value_parser = option(arrival::duration))]
    duration: Option<Duration>,
    /// Shape of the arrivals: constant, poisson, ramp:TO:OVER, step:BY:EVERY,
    /// burst:TO:LASTING:EVERY, replay:FILE (seconds from the beginning, one number a line)
    /// [default: constant with --url, else poisson].
    #[arg(long, value_name = "SHAPE")]
    arrival: Option<String>,
    /// What must hold, separated by commas: p50, p90, p95, p99, max (of latency) and errors, as in
    /// p99<=250ms,errors<=1%. [default: errors<=1%]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = option(Limit::objective))]
    objective: Vec<Limit>,
    /// 99th percentile of slip behind the schedule beyond which the load is invalid.
    #[arg(long, value_name = "D", value_parser = option(arrival::duration), default_value = "25ms")]
    max_slip: Duration,
    /// How long an operation may take.
    #[arg(long, value_name = "D", value_parser = option(arrival::duration), default_value = "10s")]
    timeout: Duration,
    /// Journeys of a file instead of one request, as under `workload` in firedrill.yaml; what names
    /// no service is asked at --url.
    #[arg(long, value_name = "FILE", requires = "url")]
    traffic: Option<PathBuf>,
    /// Journey and its weight, instead of those in firedrill.yaml or --traffic; may be given several
    /// times.
    #[arg(long, value_name = "NAME=WEIGHT")]
    journey: Vec<String>,
    /// What it is for.
    #[command(flatten)]
    course: course::CourseOptions,
    /// Write what was measured as one page: percentiles, and latency, rate and errors over time.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What only a URL can be driven with.
    #[command(flatten)]
    url_options: url::UrlOptions,
    /// Who drives it.
    #[command(flatten)]
    fleet: fleet::FleetOptions,
}

impl Arguments {
    /// What must hold.
    fn objectives(&self) -> Vec<Limit> {
        // The default can be read.
        if self.objective.is_empty() {
            Limit::objective("errors<=1%").into_iter().collect()
        } else {
            self.objective.clone()
        }
    }
}

/// How many arrivals a second.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    Max,
    PerSecond(f64),
}

impl std::str::FromStr for Rate {
    type Err = Advice;

    fn from_str(text: &str) -> Result<Rate, Advice> {
        let most = arrival::FASTEST;
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Rate::Max),
            Ok(rate) if rate > 0.0 && rate <= most => Ok(Rate::PerSecond(rate)),
            _ => Err(Advice::from(format!(
                "wanted a number of arrivals a second above 0 and at most {most}, or `max`"
            ))
            .hint("as in --rate 500")),
        }
    }
}

/// What a load came to.
pub struct Outcome {
    /// What was measured.
    pub summary: LoadSummary,
    /// Each thing that was judged: `pass`, `fail` or `unknown`, and what it is; nothing of a load
    /// that was interrupted.
    pub verdicts: Vec<(&'static str, String)>,
    /// The exit code.
    pub exit: Exit,
    /// The page that was asked for, with the file that it goes to.
    page: Option<(PathBuf, Result<String, minijinja::Error>)>,
}

impl Outcome {
    /// Writes the page, if one was asked for. What was measured is printed before that: a file that
    /// can't be written must not cost it.
    ///
    /// # Errors
    /// The page could not be made, or can't be written.
    pub fn write_page(self) -> Result<(), Failure> {
        self.page.map_or(Ok(()), |(file, page)| write_page(&file, page))
    }
}

/// Drives the load and judges it.
///
/// # Errors
/// The load can't begin.
pub async fn load(
    arguments: &Arguments,
    common: &Common,
    console: &dyn Console,
) -> Result<Outcome, Failure> {
    if arguments.timeout.is_zero() || arguments.timeout > LONGEST_TIMEOUT {
        let wanted = LONGEST_TIMEOUT.as_secs();
        return Err(usage(format!(
            "--timeout {:?} is out of range, wanted above 0 and at most {wanted}s",
            arguments.timeout
        )));
    }
    if arguments.duration.is_some_and(|d| d.is_zero()) {
        return Err(usage("--duration 0 drives nothing").hint("as in --duration 10s"));
    }
    if arguments.url.is_some() && arguments.traffic.is_none() && !arguments.journey.is_empty() {
        return Err(usage("a URL alone has no journeys")
            .hint("leave out --journey, or name a file that states some: --traffic FILE"));
    }
    // Before anybody listens: see there.
    loadgen::closed_loop::keep_interrupts();
    let interrupt = Interrupt::listen()
        .map_err(|e| Failure::new(Exit::Defect, format!("signals can't be listened to: {e}")))?;
    let seed = common.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let running = Running {
        progress: Progress::new(common.quiet),
        interrupt,
        seed,
        watched: Mutex::default(),
    };
    running.progress.say(&format!("seed {seed}"));
    let summary = match &arguments.url {
        Some(url) => match &arguments.traffic {
            Some(file) => traffic::drive(file, url, arguments, &running).await?,
            None => url::drive(url, arguments, common, &running).await?,
        },
        None => stack::drive(arguments, common, &running, console).await?,
    };
    running.progress.settle();
    let judged = judged::judge(&summary, &arguments.objectives());
    let interrupted = running.interrupt.asked();
    let exit = if interrupted { Exit::Interrupted } else { judged.exit };
    let page = arguments.html.as_ref().map(|file| {
        let watched = running.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = (exit, judged.verdicts.as_slice());
        (file.clone(), page::page(arguments, seed, &summary, &watched, judged))
    });
    let verdicts = if interrupted { Vec::new() } else { judged.verdicts };
    Ok(Outcome { summary, verdicts, exit, page })
}

/// What the commands below share.
struct Running {
    progress: Progress,
    interrupt: Interrupt,
    seed: u64,
    watched: Mutex<page::Watched>,
}

impl Running {
    /// Tells how far the load is, and keeps it for the page.
    fn tell(&self, live: loadgen::LiveStats, lasted: Duration, duration: Option<Duration>) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).add(lasted, live);
        let left = duration.map_or(String::new(), |d| {
            format!(", {:.0} s left", d.saturating_sub(lasted).as_secs_f64())
        });
        let line = format!("{live}{left}");
        // Where lines stay, a long load is told of more seldom: sixty lines or so in all.
        let every = duration
            .map_or(Duration::from_secs(10), |d| d / 60)
            .clamp(Duration::from_millis(800), Duration::from_secs(60));
        self.progress.live(&line, every);
    }
}

fn usage(advice: impl Into<Advice>) -> Failure {
    Failure::usage(advice)
}

/// A generator that can't begin.
fn no_thread(error: std::io::Error) -> Failure {
    Failure::new(Exit::Unfit, format!("the load has no thread: {error}"))
        .hint("raise the limit of processes (ulimit -u)")
}

/// The shape that was asked for, and the rate, which a recording does without.
fn pace(arguments: &Arguments, default: (Option<f64>, Arrival)) -> Result<(Arrival, f64), Failure> {
    let shape = match arguments.arrival.as_deref() {
        Some(text) => match text.strip_prefix("replay:") {
            Some(file) => arrival::recording(&read(Path::new(file))?)
                .map_err(|e| usage(Advice::of_load(&e).within(file)))?,
            None => text.parse().map_err(|e: ShapeError| Failure::of_load(Exit::Usage, e))?,
        },
        None => default.1,
    };
    let rate = match (arguments.rate, &shape) {
        (Some(_), Arrival::Replay(_)) => {
            return Err(usage("a recording is replayed as it is").hint("leave out --rate"));
        }
        (None, Arrival::Replay(_)) => 1.0,
        (Some(Rate::PerSecond(rate)), _) => rate,
        (Some(Rate::Max), _) => {
            return Err(usage("--rate max has no schedule")
                .hint("leave out --arrival; it is for --url only"));
        }
        (None, _) => default.0.ok_or_else(|| {
            usage("--rate is missing").hint("as in --rate 500, arrivals a second, or --rate max")
        })?,
    };
    Ok((shape, rate))
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        usage(format!("{}: {e}", file.display())).hint("name a file that can be read")
    })?;
    crate::secret::learn_text(file, &text);
    Ok(text)
}

fn of_file(file: &Path) -> impl Fn(RequestError) -> Failure {
    move |e| usage(Advice::of_load(&e).within(file.display()))
}
