//! Workers and coordinators as processes of the built program, and a server that remembers what it
//! was asked.

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use verdict::history::load::LoadSummary;

/// What workers and coordinators of these tests share.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Longest wait for anything.
const LONGEST: Duration = Duration::from_secs(120);

/// The monotonic clock, µs.
pub fn monotonic_us() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("clock");
    now.tv_sec() as f64 * 1e6 + now.tv_nsec() as f64 / 1e3
}

/// Waits for a condition.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let began = Instant::now();
    while !holds()? {
        if began.elapsed() > LONGEST {
            return Err(format!("not within {} s: {what}", LONGEST.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A server that answers every `/NUMBER` and remembers the numbers.
pub struct Server {
    address: SocketAddr,
    numbers: Arc<Mutex<Vec<u64>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub fn start() -> Result<Server, Failed> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let (address, numbers) = (listener.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let kept = numbers.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, kept.clone()));
            }
        });
        Ok(Server { address, numbers, _runtime: runtime })
    }

    /// The URL under which each arrival asks for its own number.
    pub fn url(&self) -> String {
        format!("http://{}/{{n}}", self.address)
    }

    /// Numbers that were asked for, in order of their coming.
    pub fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget(&self) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn answer(mut stream: TcpStream, numbers: Arc<Mutex<Vec<u64>>>) -> Option<()> {
    let mut buffer = [0; 4096];
    loop {
        // A generator writes a request at once, and none before the answer to the last.
        let read = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        let text = std::str::from_utf8(&buffer[..read]).ok()?;
        let number = text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()?;
        numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok()?;
    }
}

/// A process of the built program that does not outlive the test, with what it said on its error
/// stream so far.
pub struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Process, Failed> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or("no error stream")?;
        let said = Arc::new(Mutex::new(String::new()));
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = kept.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Ok(Process { child, said })
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said these words.
    pub fn says(&self, words: &str) -> Result<(), Failed> {
        until(&format!("it says {words:?}"), || Ok(self.said().contains(words)))
            .map_err(|e| format!("{}\n{}", e.message().unwrap_or(""), self.said()).into())
    }

    /// What it told when it had ended by itself.
    pub fn ended(mut self) -> Result<Told, Failed> {
        let mut stdout = String::new();
        self.child.stdout.take().ok_or("no output")?.read_to_string(&mut stdout)?;
        let exit = self.child.wait()?.code();
        // The error stream ends with the process; its reader may need a moment for that.
        let mut last = String::new();
        until("its last words are read", || {
            let said = self.said();
            let done = said == last && Arc::strong_count(&self.said) == 1;
            last = said;
            Ok(done)
        })?;
        Ok(Told { exit, summary: serde_json::from_str(&stdout).ok(), stderr: last })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is stopped ends by this signal too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker.
pub struct Worker {
    process: Process,
    pub address: SocketAddr,
}

impl std::ops::Deref for Worker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Workers that know the token.
pub struct Crew {
    pub home: tempfile::TempDir,
    pub workers: Vec<Worker>,
}

/// How a load ended.
pub struct Told {
    pub exit: Option<i32>,
    pub summary: Option<LoadSummary>,
    pub stderr: String,
}

impl Told {
    pub fn words(&self) -> String {
        format!("exit {:?}\n{}\n{:?}", self.exit, self.stderr, self.summary)
    }

    /// The summary of a load that passed.
    pub fn passed(&self) -> Result<&LoadSummary, Failed> {
        match &self.summary {
            Some(summary) if self.exit == Some(0) && summary.invalid.is_none() => Ok(summary),
            _ => Err(self.words().into()),
        }
    }

    /// Fails unless it was refused with this exit code, in one message with these words and a hint.
    pub fn refused(&self, exit: i32, words: &str) -> Result<(), Failed> {
        let one = self.stderr.matches("error: ").count() == 1 && self.stderr.contains("hint: ");
        let fits =
            self.exit == Some(exit) && self.summary.is_none() && self.stderr.contains(words) && one;
        if fits {
            Ok(())
        } else {
            Err(format!("wanted exit {exit} and {words:?}: {}", self.words()).into())
        }
    }
}

/// The built program with a state folder of its own.
pub fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command
        .current_dir(home)
        .env("FIREDRILL_STATE", home.join("state"))
        .env_remove("FIREDRILL_WORKER_TOKEN");
    command
}

impl Crew {
    /// Starts so many workers on free ports.
    pub fn of(count: usize) -> Result<Crew, Failed> {
        let mut crew = Crew { home: tempfile::tempdir()?, workers: Vec::new() };
        std::fs::write(crew.token(), TOKEN)?;
        for _ in 0..count {
            let mut command = program(crew.home.path());
            command.args(["worker", "--listen", "127.0.0.1:0", "--token-file"]).arg(crew.token());
            let mut process = Process::start(&mut command)?;
            let mut line = String::new();
            BufReader::new(process.child.stdout.as_mut().ok_or("no output")?)
                .read_line(&mut line)?;
            let address =
                line.trim().strip_prefix("listening on ").ok_or_else(|| process.said())?.parse()?;
            crew.workers.push(Worker { process, address });
        }
        Ok(crew)
    }

    /// File with their token.
    pub fn token(&self) -> PathBuf {
        self.home.path().join("token")
    }

    /// Begins a load of all of them.
    pub fn load(&self, server: &Server, arguments: &[&str]) -> Result<Process, Failed> {
        let workers: Vec<String> = self.workers.iter().map(|w| w.address.to_string()).collect();
        self.load_on(&workers.join(","), &self.token(), &server.url(), arguments)
    }

    /// Begins a load of others.
    pub fn load_on(
        &self,
        workers: &str,
        token: &Path,
        url: &str,
        arguments: &[&str],
    ) -> Result<Process, Failed> {
        let mut command = program(self.home.path());
        command
            .args(["load", "--url", url, "--workers", workers, "--token-file"])
            .arg(token)
            .args(arguments);
        // Slip is for others to judge: these machines are shared.
        command.args(["--max-slip", "10s", "--seed", "7", "--format", "json"]);
        Process::start(&mut command)
    }
}
