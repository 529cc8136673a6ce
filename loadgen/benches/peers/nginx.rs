//! nginx, on the first processor.

use super::install::of_apt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// One process of it; dropping it ends it.
pub struct Nginx {
    process: Child,
    _folder: tempfile::TempDir,
    pub address: SocketAddr,
}

impl Nginx {
    pub fn start() -> Result<Nginx, String> {
        let program = of_apt("nginx")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .map_err(|e| e.to_string())?;
        let at = folder.path().display();
        let body = "x".repeat(100);
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log stderr crit;\n\
             events {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 120s;\n\
             client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
             server {{ listen {address} backlog=4096; location / {{ return 200 \"{body}\"; }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).map_err(|e| e.to_string())?;
        let mut command = Command::new("taskset");
        command
            .args(["-c", "0"])
            .arg(program)
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(file);
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| format!("nginx can't be started: {e}"))?;
        let nginx = Nginx { process, _folder: folder, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("nginx did not begin to listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// Does something, and stops the server meanwhile.
    pub fn stopped_meanwhile<T: Send>(
        &self,
        after: Duration,
        lasting: Duration,
        work: impl FnOnce() -> T + Send,
    ) -> T {
        // taskset has become nginx.
        let pid = Pid::from_raw(self.process.id() as i32);
        thread::scope(|scope| {
            let working = scope.spawn(work);
            thread::sleep(after);
            let _ = kill(pid, Signal::SIGSTOP);
            thread::sleep(lasting);
            let _ = kill(pid, Signal::SIGCONT);
            working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
