//! Containment: no new connection leaves a stack, neither to the outside nor to the host.
//!
//! A bridge without masquerading reaches nothing that would answer, but its packets still leave,
//! and the host itself is reached through the gateway. Two rules of the packet filter for each
//! bridge refuse both at once, so that a wrong destination fails quickly. Both carry the run's id
//! as a comment, by which they are found again. Ports published on 127.0.0.1 go on working: those
//! connections begin on the host, and answers to them are no new connections.

use crate::engine::EngineError;
use crate::engine::namespace::{self, CommandOutput};
use crate::process::failure::UserError;

/// The comment that rules of a run carry.
pub fn comment(run: &str) -> String {
    format!("firedrill.run={run}")
}

/// Chains of the host in which rules of ours may stand.
const CHAINS: [&str; 3] = ["INPUT", "DOCKER-USER", "FORWARD"];

/// Refuses what comes in from a bridge to the host and what goes from it anywhere else. Write down
/// the removal of the run before: [`lift`] finds the rules by the run's id.
///
/// # Errors
/// [`EngineError::Unfit`] when the packet filter refuses or is missing.
pub async fn seal(bridge: &str, run: &str) -> Result<(), EngineError> {
    let forward = if iptables(None, &["-S".into(), "DOCKER-USER".into()]).await?.ok {
        "DOCKER-USER"
    } else {
        "FORWARD"
    };
    let to_host = format!("INPUT -i {bridge}");
    let outside = format!("{forward} -i {bridge} ! -o {bridge}");
    for place in [to_host, outside] {
        let line = format!(
            "-I {place} -m conntrack --ctstate NEW -m comment --comment {} -j REJECT --reject-with icmp-port-unreachable",
            comment(run)
        );
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let said = iptables(None, &args).await?;
        if !said.ok {
            return Err(EngineError::Unfit {
                what: format!("containing the stack: `iptables {line}`: {}", said.stderr.trim()),
                hint: "the kernel needs xt_conntrack, xt_comment and REJECT; `firedrill doctor` shows what is missing".into(),
            });
        }
    }
    Ok(())
}

/// Takes away all rules of a run. Returns how many there were.
///
/// # Errors
/// [`EngineError::Unfit`] when the packet filter refuses.
pub async fn lift(run: &str) -> Result<usize, EngineError> {
    let mut lifted = 0;
    for rule in rules_with(|said| said == comment(run)).await? {
        delete_rule(None, &rule).await.map_err(|what| EngineError::Unfit {
            what,
            hint: "take it away by hand as root".into(),
        })?;
        lifted += 1;
    }
    Ok(lifted)
}

/// Runs that rules of the host speak of.
///
/// # Errors
/// [`EngineError::Unfit`] when the packet filter is missing or may not be read.
pub async fn runs() -> Result<Vec<String>, EngineError> {
    let mut runs: Vec<String> = rules_with(|said| said.starts_with("firedrill.run="))
        .await?
        .iter()
        .filter_map(|rule| rule.iter().find_map(|word| word.strip_prefix("firedrill.run=")))
        .map(str::to_owned)
        .collect();
    runs.sort();
    runs.dedup();
    Ok(runs)
}

/// Rules of the host whose comment is wanted, as arguments that delete them.
async fn rules_with(wanted: impl Fn(&str) -> bool) -> Result<Vec<Vec<String>>, EngineError> {
    let mut rules = Vec::new();
    for chain in CHAINS {
        let said = iptables(None, &["-S".into(), chain.into()]).await?;
        for line in said.stdout.lines().filter(|_| said.ok) {
            let words: Vec<String> =
                line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
            let comment =
                words.iter().position(|word| word == "--comment").and_then(|at| words.get(at + 1));
            if words.first().is_some_and(|first| first == "-A")
                && comment.is_some_and(|comment| wanted(comment))
            {
                let mut rule = words;
                rule[0] = "-D".into();
                rules.push(rule);
            }
        }
    }
    Ok(rules)
}

/// Deletes one rule, as often as it is there, from the host or from the network namespace of
/// process `pid`. `rule` holds the arguments with `-D`. Deleting one that is not there does
/// nothing.
///
/// # Errors
/// What the packet filter said.
pub async fn delete_rule(pid: Option<i32>, rule: &[String]) -> Result<(), String> {
    // A rule may be there several times, if it was injected several times; the bound keeps a
    // confused filter from holding us for ever.
    for _ in 0..64 {
        let said = iptables(pid, rule).await.map_err(|error| error.advice().to_string())?;
        if said.ok {
            continue;
        }
        let absent =
            ["does a matching rule exist", "No chain/target/match", "does not exist", "Bad rule"];
        if absent.iter().any(|words| said.stderr.contains(words)) {
            return Ok(());
        }
        return Err(format!("`iptables {}`: {}", rule.join(" "), said.stderr.trim()));
    }
    Err(format!("`iptables {}` deletes without end", rule.join(" ")))
}

/// Runs `iptables`, waiting for its lock, on the host or in the network namespace of process `pid`.
///
/// # Errors
/// [`EngineError::Unfit`] when it can't be run.
pub async fn iptables(pid: Option<i32>, rule: &[String]) -> Result<CommandOutput, EngineError> {
    let mut args = vec!["-w".to_owned(), "10".to_owned()];
    args.extend_from_slice(rule);
    match pid {
        Some(pid) => namespace::run(pid, "iptables", &args).await,
        None => namespace::run_on_host("iptables", &args).await,
    }
}
