//! The command line. One file below for each command; a line in `run` registers it.

pub mod alerts;
pub mod baseline;
pub mod compare;
pub mod doctor;
pub mod down;
pub mod fault;
pub mod gate;
pub mod heal;
pub mod images;
pub mod judge;
pub mod lint;
pub mod load;
pub mod run;
pub mod selftest;
pub mod status;
pub mod trend;
pub mod up;
pub mod verify;
pub mod worker;

use crate::ops::console::Console;
use crate::ops::settings::{Common, Format};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::secret;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

/// Proves that a monitoring stack notices.
///
/// It starts the stack in containers, drives traffic through it, breaks things, and judges from a
/// recorded history what was scraped, indexed, traced, alerted and delivered. Without a command,
/// `verify` of the e-mail stack is meant.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, subcommand_negates_reqs = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
    /// Process of the gate that this is a step of.
    #[arg(long, global = true, hide = true, value_name = "PID")]
    of_gate: Option<i32>,
}

const EXIT_CODES: &str = "Exit codes: 0 pass · 1 fail · 2 unknown · 3 the environment is unfit (engine, image, kernel ability, port) · \
64 usage or configuration · 70 a defect of ours · 130 interrupted, healed and cleaned up.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a stack up, drive traffic, break things, judge, report, and take it down.
    Verify(verify::Arguments),
    /// Start a stack and leave it running, for `fault inject` and for a look around.
    Up(up::Arguments),
    /// Show the stacks that are up, their services, and faults that are open.
    Status,
    /// Remove a stack that is up, or everything of ours.
    Down(down::Arguments),
    /// Prove every alert of a stack, from its cause to its receivers and its end.
    Alerts(verify::Arguments),
    /// Run single drills of a stack by name, and judge what is expected of them.
    Run(run::Arguments),
    /// Drive only the traffic, of a stack or of one URL.
    Load(Box<load::Arguments>),
    /// Drive a part of a load for `firedrill load --workers` on another machine.
    Worker(worker::Arguments),
    /// List the faults, or inject one by hand.
    #[command(subcommand)]
    Fault(fault::Command),
    /// Undo every fault that is open, by hand or after a crash; the stack stays up.
    Heal,
    /// Break a stack's monitoring in known ways, and see each convicted with the right cause.
    Selftest(selftest::Arguments),
    /// What a healthy run measures: record it, or check a candidate against it before a release.
    #[command(subcommand)]
    Baseline(baseline::Command),
    /// Run what a release, or a night, must pass: many commands, one exit code, one report.
    Gate(gate::Arguments),
    /// Show recorded runs over time: verdicts, durations, latency, detection times.
    Trend(trend::Arguments),
    /// Show two recorded runs side by side: what changed between them.
    Compare(compare::Arguments),
    /// Judge a recorded run again and write its reports anew, without Docker.
    Judge(judge::Arguments),
    /// Check monitoring configuration in a folder or files, of a stack also as it runs.
    Lint(lint::Arguments),
    /// Tell whether this machine can run firedrill, and what is missing if not.
    Doctor,
    /// Obtain images and print their references.
    Images(images::Arguments),
    /// Remove a run's stack when the pipe on standard input closes.
    #[command(hide = true)]
    Reaper {
        /// Run.
        #[arg(long)]
        run: String,
    },
    /// Be the receivers' stand-ins.
    #[command(hide = true)]
    Receivers {
        /// Configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Hold packets back.
    #[command(hide = true)]
    HoldPackets {
        /// Process whose network namespace is meant.
        #[arg(long)]
        pid: i32,
        /// Number of the queue.
        #[arg(long)]
        queue: u16,
        /// Milliseconds.
        #[arg(long)]
        delay_ms: u64,
    },
    /// Hold sessions with a server.
    #[command(hide = true)]
    HoldSessions {
        /// First process of the server's container.
        #[arg(long)]
        pid: i32,
        /// Protocol.
        #[arg(long)]
        protocol: crate::fault::sessions::Protocol,
        /// Port.
        #[arg(long)]
        port: u16,
        /// Name of the sessions.
        #[arg(long)]
        name: String,
        /// Number of clients that the server shall have.
        #[arg(long)]
        up_to: Option<u32>,
        /// What one session says.
        #[arg(long, conflicts_with = "up_to")]
        say: Vec<String>,
        /// Milliseconds after which it says it again.
        #[arg(long)]
        pause_ms: Option<u64>,
    },
    /// Press on a control group.
    #[command(hide = true)]
    Press {
        /// Control groups to join.
        #[arg(long)]
        cgroup: Vec<PathBuf>,
        /// Threads that spin.
        #[arg(long, default_value_t = 0)]
        threads: u32,
        /// Memory use of the group up to which memory is filled.
        #[arg(long, default_value_t = 0)]
        up_to_bytes: u64,
        /// Memory that is left available on the host.
        #[arg(long, requires = "most")]
        host_available: Option<u64>,
        /// Most memory that is taken for that.
        #[arg(long)]
        most: Option<u64>,
    },
}

/// Standard output.
struct Terminal;

impl Console for Terminal {
    fn line(&self, line: &str) {
        println!("{line}");
    }
}

/// Parses the arguments, runs the command, prints what went wrong, and returns the exit code. A
/// panic is a defect of ours: it is told in one line, after what was started has been left to the
/// reaper.
pub fn main() -> Exit {
    std::panic::set_hook(Box::new(defect_told));
    match std::panic::catch_unwind(run_whole) {
        Ok(exit) => exit,
        Err(panic) if reader_is_gone(panic.as_ref()) => Exit::Unfit,
        Err(_) => Exit::Defect,
    }
}

fn run_whole() -> Exit {
    secret::learn_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Colours are only worth having where nothing has to be taken out.
            let plain = e.render().to_string();
            let _ = match secret::scrub(&plain) {
                std::borrow::Cow::Owned(shown) if e.use_stderr() => {
                    write!(secret::stderr(), "{shown}")
                }
                _ => e.print(),
            };
            return if e.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    if let Some(gate) = cli.of_gate {
        crate::ops::gate::child::follow(gate);
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("FIREDRILL_LOG")
        .unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(secret::stderr).init();
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            // Nobody may be there to read it.
            let _ = writeln!(secret::stderr(), "error: {failure}");
            failure.exit
        }
    }
}

fn defect_told(info: &std::panic::PanicHookInfo<'_>) {
    if reader_is_gone(info.payload()) {
        return;
    }
    let what = panic_words(info.payload());
    let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
    let _ = writeln!(
        secret::stderr(),
        "error: a defect of firedrill at {place}: {what}\nhint: please report it; firedrill heal and firedrill down --all clean up if anything is left"
    );
}

fn panic_words(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

/// Whether a panic says that nobody reads what is printed any more (`firedrill fault list | head
/// -1`).
fn reader_is_gone(payload: &(dyn std::any::Any + Send)) -> bool {
    panic_words(payload).starts_with("failed printing to std")
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let common = cli.common;
    let defect = |e: std::io::Error| Failure::foreign(Exit::Defect, e);
    let command = cli.command.unwrap_or(Command::Verify(verify::Arguments::default()));
    if matches!(common.format, Format::Sarif | Format::Github)
        && !matches!(command, Command::Lint(_))
    {
        return Err(Failure::new(Exit::Usage, "--format sarif and github are of lint only")
            .hint("use text or json"));
    }
    match command {
        // Helpers enter a namespace, which only a process of one thread may do for all kinds: no
        // runtime for them.
        Command::HoldPackets { pid, queue, delay_ms } => {
            crate::fault::packet_queue::hold(pid, queue, std::time::Duration::from_millis(delay_ms))
                .map(|()| Exit::Pass)
                .map_err(defect)
        }
        Command::Press { cgroup, threads, up_to_bytes, host_available, most } => {
            let host = host_available.zip(most);
            crate::fault::pressure::press(&cgroup, threads, up_to_bytes, host)
                .map(|()| Exit::Pass)
                .map_err(defect)
        }
        Command::HoldSessions { pid, protocol, port, name, up_to, say, pause_ms } => {
            use crate::fault::sessions::{Sessions, Task};
            let task = up_to.map_or_else(
                || Task::Say(say, pause_ms.map(std::time::Duration::from_millis)),
                Task::UpTo,
            );
            crate::fault::sessions::hold(&Sessions { pid, protocol, port, name, task })
                .map(|()| Exit::Pass)
                .map_err(defect)
        }
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(defect)?;
            runtime.block_on(run_command(command, &common))
        }
    }
}

async fn run_command(command: Command, common: &Common) -> Result<Exit, Failure> {
    match command {
        Command::Verify(arguments) => verify::run(&arguments, common).await,
        Command::Up(arguments) => up::run(&arguments, common).await,
        Command::Status => status::run().await,
        Command::Down(arguments) => down::run(&arguments, common).await,
        Command::Alerts(arguments) => alerts::run(&arguments, common).await,
        Command::Run(arguments) => run::run(&arguments, common).await,
        Command::Load(arguments) => load::run(&arguments, common).await,
        Command::Worker(arguments) => worker::run(&arguments, common).await,
        Command::Fault(command) => fault::run(&command, common).await,
        Command::Heal => heal::run(common).await,
        Command::Selftest(arguments) => selftest::run(&arguments, common).await,
        Command::Baseline(command) => baseline::run(&command, common).await,
        Command::Gate(arguments) => gate::run(&arguments, common).await,
        Command::Trend(arguments) => trend::run(&arguments, common),
        Command::Compare(arguments) => compare::run(&arguments, common),
        Command::Judge(arguments) => judge::run(&arguments, common),
        Command::Lint(arguments) => lint::run(&arguments, common).await,
        Command::Doctor => doctor::run().await,
        Command::Images(arguments) => images::run(&arguments, common).await,
        Command::Reaper { run } => crate::stack::reaper::main(&run)
            .await
            .map(|()| Exit::Pass)
            .map_err(|e| Failure::new(Exit::Defect, e)),
        Command::Receivers { config } => {
            let config = crate::receiver::Config::read(&config)?;
            crate::receiver::serve(config).await.map(|()| Exit::Pass).map_err(Failure::from)
        }
        Command::HoldPackets { .. } | Command::HoldSessions { .. } | Command::Press { .. } => {
            Err(Failure::new(Exit::Defect, "helpers run without a runtime"))
        }
    }
}
