//! A wall clock that a test sets while a program runs. The machine's own is not touched.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The clock that programs are shown.
pub struct Clock {
    folder: tempfile::TempDir,
}

impl Clock {
    /// One that agrees with the machine's.
    ///
    /// # Errors
    /// The C compiler that Rust links with can't build what shows it.
    pub fn new() -> io::Result<Clock> {
        let clock = Clock { folder: tempfile::tempdir()? };
        clock.set(0)?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock/set.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", source, "-o"])
            .arg(clock.library())
            .output()?;
        if !built.status.success() {
            return Err(io::Error::other(format!(
                "cc {source}: {}",
                String::from_utf8_lossy(&built.stderr)
            )));
        }
        Ok(clock)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("set.so")
    }

    fn ahead(&self) -> PathBuf {
        self.folder.path().join("ahead_s")
    }

    /// Lets a command, and what it starts, see this clock.
    pub fn show(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.library()).env("CLOCK_SET_BY", self.ahead());
    }

    /// Sets it so many seconds ahead of the machine's.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set(&self, ahead_s: i64) -> io::Result<()> {
        use std::io::Write;
        // Written in place: programs have it mapped.
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.ahead())?;
        file.write_all(&ahead_s.to_ne_bytes())
    }
}
