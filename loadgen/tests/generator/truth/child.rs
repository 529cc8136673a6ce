//! This program, started again as a server or as a generator.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use verdict::history::load::LoadSummary;

/// A process of ours; dropping it ends it.
pub struct Child {
    process: process::Child,
    output: BufReader<ChildStdout>,
    /// Where it listens, or what it drives.
    pub address: SocketAddr,
}

impl Child {
    fn start(arguments: &[&str]) -> (process::Child, BufReader<ChildStdout>, String) {
        let program = std::env::current_exe().expect("this program");
        let mut process =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("started");
        let mut output = BufReader::new(process.stdout.take().expect("output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("first line");
        (process, output, line.trim().to_owned())
    }

    /// A server on a port of its own, ready.
    pub fn server() -> Child {
        let (process, output, line) = Child::start(&["be-a-server"]);
        Child { process, output, address: line.parse().expect("address") }
    }

    /// A generator that has begun; a rate of 0 is as fast as it can.
    pub fn generator(address: SocketAddr, rate: f64, seconds: f64) -> Child {
        let (process, output, _) = Child::start(&[
            "be-a-generator",
            &address.to_string(),
            &rate.to_string(),
            &seconds.to_string(),
        ]);
        Child { process, output, address }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("signal");
    }

    /// What a generator tells at its end, and the most memory that it had, KiB.
    pub fn told(mut self) -> (LoadSummary, u64) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("summary");
        let (summary, peak) = line.trim().rsplit_once(' ').expect("summary and peak");
        (serde_json::from_str(summary).expect("summary"), peak.parse().expect("number"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until it is killed, or its parent is gone: plain HTTP/1.1, and as quickly as a debug
/// build can.
pub fn serve() -> ExitCode {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("bound to the parent");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        println!("{}", listener.local_addr().expect("address"));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    ExitCode::SUCCESS
}

/// Answers the requests of one connection.
async fn answer(mut stream: TcpStream) -> Option<()> {
    let mut buffer = [0; 4096];
    loop {
        // A generator writes a request at once, and none before the answer to the last.
        let read = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        let path = buffer[..read].split(|b| *b == b' ').nth(1)?;
        let (status, header) = match path {
            b"/" => ("200 OK", ""),
            b"/slow" => {
                tokio::time::sleep(Duration::from_millis(30)).await;
                ("200 OK", "")
            }
            b"/hang" => std::future::pending().await,
            b"/drop" => return None,
            b"/fail" => ("500 Internal Server Error", ""),
            b"/close" => ("200 OK", "Connection: close\r\n"),
            _ => ("404 Not Found", ""),
        };
        let body = "x".repeat(100);
        stream
            .write_all(
                format!("HTTP/1.1 {status}\r\n{header}Content-Length: 100\r\n\r\n{body}")
                    .as_bytes(),
            )
            .await
            .ok()?;
        if !header.is_empty() {
            return None;
        }
    }
}

/// The most memory that this process has had, KiB.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("peak");
    peak.trim().trim_end_matches(" kB").parse().expect("number")
}
