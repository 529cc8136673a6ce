//! How long the metrics servers keep samples.

use super::Checker;
use super::timeline::Timeline;
use super::wording::{count, list};
use crate::cause::Cause;
use crate::observation::Fact;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Each metrics server keeps samples at least as long as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplesKept {
    /// The servers, and for how long each must keep samples.
    pub servers: Vec<Kept>,
}

/// For how long a server must keep samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Name of the service, as the Compose file has it.
    pub server: String,
    /// Seconds.
    pub seconds: f64,
    /// The same as the declaration has it.
    pub declared: String,
}

impl Checker for SamplesKept {
    fn id(&self) -> String {
        "scraping.retention".into()
    }

    fn expected(&self) -> String {
        let each =
            self.servers.iter().map(|k| format!("{} keeps samples for {}", k.server, k.declared));
        list(each, 5)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let facts = timeline.healthy_facts();
        let (mut fine, mut short, mut unsaid) = (Vec::new(), Vec::new(), Vec::new());
        for kept in &self.servers {
            let told = facts.iter().rev().find_map(|(e, o)| match &o.fact {
                Fact::Retention { seconds, seen } if o.source == kept.server => {
                    Some((e.seq, *seconds, seen))
                }
                _ => None,
            });
            match told {
                None => unsaid.push(&kept.server),
                Some((seq, Some(seconds), seen)) if seconds < kept.seconds => short.push((
                    seq,
                    format!("{} keeps samples for {seen}, {} declared", kept.server, kept.declared),
                )),
                // Bounded by size alone: for how long that lasts nobody knows beforehand.
                Some((_, None, _)) => unsaid.push(&kept.server),
                Some((seq, Some(_), _)) => fine.push(seq),
            }
        }
        if !short.is_empty() {
            return Verdict::fail(
                id,
                expected,
                Cause::RetentionTooShort,
                list(short.iter().map(|(_, seen)| seen), 5),
            )
            .witnesses(short.iter().map(|(seq, _)| *seq))
            .hint("correct its flag `--storage.tsdb.retention.time`; `m` is minutes, `d` is days");
        }
        if !unsaid.is_empty() || fine.is_empty() {
            let why = format!("nobody says for how long samples are kept: {}", list(&unsaid, 5));
            return Verdict::unknown(id, expected, why);
        }
        let reason = count(fine.len() as u64, "server keeps samples", "servers keep samples");
        timeline.require_complete(
            Verdict::pass(id, expected, format!("{reason} as long as declared"))
                .evidence("servers that said so", fine.len() as u64)
                .witnesses(fine),
        )
    }
}
