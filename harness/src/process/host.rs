//! What kind of machine this is: latencies of unlike machines are not compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a machine's speed depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Processors that the system may use.
    pub processors: usize,
    /// Their model, as the kernel names it.
    pub model: String,
    /// Memory, GiB, rounded.
    pub memory_gib: u64,
    /// Kernel, major and minor version.
    pub kernel: String,
}

impl Host {
    /// This machine. What can't be read is left empty, and then fits only a machine of which it
    /// could not be read either.
    pub fn here() -> Host {
        let field = |text: &str, key: &str| -> String {
            let value = |l: &str| {
                l.split_once(':').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned())
            };
            text.lines().find_map(value).unwrap_or_default()
        };
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kib: f64 = field(&file("/proc/meminfo"), "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or_default();
        let release = file("/proc/sys/kernel/osrelease");
        Host {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            model: field(&file("/proc/cpuinfo"), "model name"),
            memory_gib: (kib / 1024.0 / 1024.0).round() as u64,
            kernel: release.trim().splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
        }
    }

    /// How `other` differs in what matters, if it does. A newer kernel alone is no other machine.
    pub fn differs(&self, other: &Host) -> Option<String> {
        let mut how = Vec::new();
        if self.processors != other.processors {
            how.push(format!("{} processors, here {}", self.processors, other.processors));
        }
        if self.model != other.model {
            how.push(format!("model {:?}, here {:?}", self.model, other.model));
        }
        // Firmware and hypervisors take some of it.
        if self.memory_gib.abs_diff(other.memory_gib) > 1 + self.memory_gib / 10 {
            how.push(format!("{} GiB of memory, here {}", self.memory_gib, other.memory_gib));
        }
        (!how.is_empty()).then(|| how.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn this_machine_is_like_itself_and_unlike_a_larger_one() {
        let here = Host::here();
        assert!(here.processors > 0 && here.memory_gib > 0, "{here:?}");
        assert_eq!(here.differs(&Host { kernel: "99.1".into(), ..here.clone() }), None);
        let larger = Host { processors: here.processors * 2, ..here.clone() };
        assert!(larger.differs(&here).is_some_and(|d| d.contains("processors")));
    }
}
