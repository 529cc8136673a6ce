//! The host that the run shares with others.

use super::ask::unreachable_fact;
use crate::process::clock::RunClock;
use std::path::Path;
use verdict::observation::asked::Asked;
use verdict::observation::host::Pressure;
use verdict::observation::{Fact, Observation};

/// Reads the kernel's pressure stall information.
pub fn pressure(clock: RunClock) -> Observation {
    let asked = clock.now();
    let fact = read(Path::new("/proc/pressure"))
        .map_or_else(|e| unreachable_fact(Asked::Pressure, e), Fact::Pressure);
    Observation { source: "host".into(), via: None, asked, answered: clock.now(), fact }
}

fn read(folder: &Path) -> Result<Pressure, String> {
    let some = |name: &str| {
        let path = folder.join(name);
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        avg10(&text).ok_or_else(|| format!("{}: no line `some avg10=…`", path.display()))
    };
    Ok(Pressure {
        cpu_some_avg10: some("cpu")?,
        memory_some_avg10: some("memory")?,
        io_some_avg10: some("io")?,
    })
}

fn avg10(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|l| l.strip_prefix("some "))?;
    some.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_share_of_the_last_ten_seconds() {
        assert_eq!(
            avg10("some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=3.00 avg60=0\n"),
            Some(12.5)
        );
        assert_eq!(avg10("full avg10=3.00\n"), None);
    }

    #[test]
    fn a_kernel_without_it_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().contains("cpu"));
        std::fs::write(folder.path().join("cpu"), "some avg10=1.00\n").unwrap();
        std::fs::write(folder.path().join("memory"), "some avg10=2.00\n").unwrap();
        std::fs::write(folder.path().join("io"), "some avg10=3.00\n").unwrap();
        let got = read(folder.path()).unwrap();
        assert_eq!((got.cpu_some_avg10, got.memory_some_avg10, got.io_some_avg10), (1.0, 2.0, 3.0));
    }
}
