//! The host that the run shares with others.

use super::ask::unreachable_fact;
use crate::process::clock::RunClock;
use std::path::Path;
use std::str::FromStr;
use verdict::observation::asked::Asked;
use verdict::observation::host::Pressure;
use verdict::observation::{Fact, Observation};

/// Reads the kernel's pressure stall information.
pub fn pressure(clock: RunClock) -> Observation {
    let asked = clock.now();
    let fact = read(Path::new("/proc/pressure"), Path::new("/proc/stat"))
        .map_or_else(|e| unreachable_fact(Asked::Pressure, e), Fact::Pressure);
    Observation { source: "host".into(), via: None, asked, answered: clock.now(), fact }
}

fn read(folder: &Path, stat: &Path) -> Result<Pressure, String> {
    let some = |name: &str| {
        let path = folder.join(name);
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let avg10 = field(&text, "avg10=")
            .ok_or_else(|| format!("{}: no line `some avg10=…`", path.display()))?;
        Ok::<_, String>((avg10, field(&text, "total=").unwrap_or(0)))
    };
    let ((cpu, cpu_us), (memory, memory_us), (io, io_us)) =
        (some("cpu")?, some("memory")?, some("io")?);
    Ok(Pressure {
        cpu_some_avg10: cpu,
        memory_some_avg10: memory,
        io_some_avg10: io,
        cpu_some_us: cpu_us,
        memory_some_us: memory_us,
        io_some_us: io_us,
        steal_us: std::fs::read_to_string(stat).ok().and_then(|text| steal_us(&text)).unwrap_or(0),
    })
}

/// A field of the line about tasks of which some waited.
fn field<T: FromStr>(text: &str, name: &str) -> Option<T> {
    let some = text.lines().find_map(|l| l.strip_prefix("some "))?;
    some.split_whitespace().find_map(|field| field.strip_prefix(name))?.parse().ok()
}

/// The eighth number of the first line of `/proc/stat` (proc(5)), in ticks of a hundredth of a
/// second.
fn steal_us(stat: &str) -> Option<u64> {
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: u64 = all.split_whitespace().nth(7)?.parse().ok()?;
    Some(ticks * 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_share_of_the_last_ten_seconds() {
        let text = "some avg10=12.50 avg60=1.00 avg300=0.10 total=17\nfull avg10=3.00 total=4\n";
        assert_eq!(field(text, "avg10="), Some(12.5));
        assert_eq!(field(text, "total="), Some(17));
        assert_eq!(field::<f64>("full avg10=3.00\n", "avg10="), None);
        assert_eq!(steal_us("cpu  1 2 3 4 5 6 7 89 9 10\ncpu0 1\n"), Some(890_000));
    }

    #[test]
    fn a_kernel_without_it_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let stat = folder.path().join("stat");
        assert!(read(folder.path(), &stat).unwrap_err().contains("cpu"));
        std::fs::write(folder.path().join("cpu"), "some avg10=1.00\n").unwrap();
        std::fs::write(folder.path().join("memory"), "some avg10=2.00\n").unwrap();
        std::fs::write(folder.path().join("io"), "some avg10=3.00\n").unwrap();
        let got = read(folder.path(), &stat).unwrap();
        assert_eq!((got.cpu_some_avg10, got.memory_some_avg10, got.io_some_avg10), (1.0, 2.0, 3.0));
    }
}
