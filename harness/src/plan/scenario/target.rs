//! What a fault is aimed at, in words that hold before anything runs; which instances that are is
//! looked up when it is injected.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Instances, told by what they have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All instances of a service, as the Compose file has it.
    Service(String),
    /// One instance of a service.
    Instance {
        /// The service's name.
        service: String,
        /// Its number, from 1.
        instance: usize,
    },
    /// A part of a service's instances, those with the lowest numbers: rounded down, at least one,
    /// and never all.
    Share {
        /// The service's name.
        service: String,
        /// More than 0, less than 1.
        share: f64,
    },
    /// Servers of a role.
    Role {
        /// The role, as the declaration has it.
        role: String,
        /// Which of them.
        which: Which,
        /// The services that are declared for it, once the stack is read.
        of: Vec<String>,
    },
    /// All instances in a zone.
    Zone {
        /// Its name: the label `firedrill.zone` of services in the Compose file.
        zone: String,
        /// The services in it, once the stack is read.
        of: Vec<String>,
    },
}

/// Which servers of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that notifies first, of alert managers.
    Leader,
    /// The most that are less than half, those that are declared first.
    Minority,
    All,
}

impl Target {
    /// The services that its instances are of.
    pub fn services(&self) -> &[String] {
        match self {
            Target::Service(service)
            | Target::Instance { service, .. }
            | Target::Share { service, .. } => std::slice::from_ref(service),
            Target::Role { of, .. } | Target::Zone { of, .. } => of,
        }
    }

    /// Whether both may stand for one instance.
    pub fn meets(&self, other: &Target) -> bool {
        match (self, other) {
            (
                Target::Instance { service: a, instance: x },
                Target::Instance { service: b, instance: y },
            ) => a == b && x == y,
            _ => self == other || self.services().iter().any(|s| other.services().contains(s)),
        }
    }

    /// The instances that it stands for, where a service has these, and one of its servers leads.
    ///
    /// # Errors
    /// There are none, or too few: in words.
    pub fn members(
        &self,
        members_of: impl Fn(&str) -> Vec<String>,
        leader: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let all: Vec<String> = self.services().iter().flat_map(|s| members_of(s)).collect();
        let count = match self {
            Target::Instance { service, instance } => {
                let found = instance.checked_sub(1).and_then(|at| all.get(at));
                let few =
                    || format!("service {service} has no instance {instance}: {}", list(&all));
                return found.map(|one| vec![one.clone()]).ok_or_else(few);
            }
            Target::Role { which: Which::Leader, .. } => {
                let led = leader.filter(|leader| all.iter().any(|one| one == leader));
                let unknown = || format!("none told that it leads: {}", list(&all));
                return led.map(|leader| vec![leader.to_owned()]).ok_or_else(unknown);
            }
            Target::Share { share, .. } => {
                // Rounded down; whoever asks for a part wants at least one, and one left.
                ((all.len() as f64 * share) as usize).max(1).min(all.len().saturating_sub(1))
            }
            Target::Role { which: Which::Minority, .. } => all.len().saturating_sub(1) / 2,
            _ => all.len(),
        };
        if count == 0 {
            return Err(format!("{self} is nobody: {}", list(&all)));
        }
        Ok(all.into_iter().take(count).collect())
    }
}

fn list(members: &[String]) -> String {
    match members {
        [] => "nothing runs of it".into(),
        all => format!("there is {}", all.join(", ")),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Service(service) => f.write_str(service),
            Target::Instance { service, instance } => write!(f, "{service} (instance {instance})"),
            Target::Share { service, share } => write!(f, "{service} (share {share})"),
            Target::Role { role, which: Which::Leader, .. } => write!(f, "the leader of {role}"),
            Target::Role { role, which: Which::Minority, .. } => {
                write!(f, "a minority of {role}")
            }
            Target::Role { role, which: Which::All, .. } => write!(f, "all of {role}"),
            Target::Zone { zone, .. } => write!(f, "zone {zone}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instances of a service `web`, and a server each in `a`, `b`, ….
    fn members(target: &Target, web: usize) -> Result<Vec<String>, String> {
        let members_of = |service: &str| match (service, web) {
            ("web", 1) => vec!["web".into()],
            ("web", count) => (1..=count).map(|n| format!("web-{n}")).collect(),
            (other, _) => vec![other.to_owned()],
        };
        target.members(members_of, Some("m1"))
    }

    fn count(target: &Target, web: usize) -> usize {
        members(target, web).map_or(0, |m| m.len())
    }

    #[test]
    fn a_share_is_rounded_down_at_least_one_and_never_all() {
        let share = |share: f64| Target::Share { service: "web".into(), share };
        for (of, instances, wanted) in
            [(0.5, 4, 2), (0.5, 5, 2), (0.01, 5, 1), (0.99, 5, 4), (0.9, 2, 1), (0.5, 1, 0)]
        {
            assert_eq!(count(&share(of), instances), wanted, "{of} of {instances}");
        }
        assert_eq!(members(&share(0.5), 4), Ok(vec!["web-1".into(), "web-2".into()]));
        assert_eq!(members(&share(0.5), 1), Err("web (share 0.5) is nobody: there is web".into()));
    }

    #[test]
    fn an_instance_is_one_and_a_service_is_all() {
        let one = |instance| Target::Instance { service: "web".into(), instance };
        assert_eq!(members(&one(2), 3), Ok(vec!["web-2".into()]));
        assert_eq!(members(&one(1), 1), Ok(vec!["web".into()]));
        for instance in [0, 4] {
            let why = members(&one(instance), 3).unwrap_err();
            assert!(why.contains("there is web-1, web-2, web-3"), "{why}");
        }
        assert_eq!(count(&Target::Service("web".into()), 3), 3);
    }

    #[test]
    fn a_minority_is_less_than_half() {
        let role = |which, of: usize| Target::Role {
            role: "alerting".into(),
            which,
            of: (0..of).map(|n| format!("m{n}")).collect(),
        };
        for (of, wanted) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            assert_eq!(count(&role(Which::Minority, of), 1), wanted, "of {of}");
            assert_eq!(count(&role(Which::All, of), 1), of);
        }
        assert_eq!(members(&role(Which::Leader, 3), 1), Ok(vec!["m1".into()]));
        // Another than these may lead.
        assert!(members(&role(Which::Leader, 1), 1).is_err());
    }

    #[test]
    fn two_targets_meet_where_they_may_stand_for_one_instance() {
        let one = |instance| Target::Instance { service: "web".into(), instance };
        let all = Target::Service("web".into());
        let zone = |of: &[&str]| Target::Zone {
            zone: "a".into(),
            of: of.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert!(one(1).meets(&one(1)) && !one(1).meets(&one(2)));
        assert!(one(1).meets(&all) && all.meets(&all));
        assert!(zone(&[]).meets(&zone(&[])), "before the stack is read");
        assert!(zone(&["web", "db"]).meets(&one(2)) && !zone(&["db"]).meets(&all));
    }
}
