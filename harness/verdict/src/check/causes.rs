//! A drill's faults as they went, and from which of them an alert's times count: a drill may inject
//! several, one after the other, and heal them one after the other.

use super::firing::drill_until;
use super::timeline::{Drill, Interval, Moment, Timeline};
use serde::{Deserialize, Serialize};

/// The faults of a drill from which an alert's times count. Where none is named, as in plans of
/// versions that knew one fault a drill, all of them count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Causes {
    /// Ids of the faults that are injected in the alert's phase: its clock starts when the last of
    /// them is, and it has no reason to fire once the first of them is healed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injected: Vec<String>,
    /// Ids of the faults that are healed in the phase that ends it: the clock of its end starts when
    /// the last of them is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healed: Vec<String>,
}

impl Causes {
    /// Whether it names no fault, so that all of the drill count.
    pub fn is_any(&self) -> bool {
        self.injected.is_empty() && self.healed.is_empty()
    }
}

/// A fault of a drill, as it went.
#[derive(Debug, Clone)]
pub(crate) struct FaultSpan<'h> {
    pub id: &'h str,
    pub injected: Option<Moment>,
    pub not_injected: Option<(Moment, &'h str)>,
    pub bit: Option<Moment>,
    pub did_not_bite: Option<(Moment, &'h str)>,
    pub healed: Option<Moment>,
    pub left: Option<Moment>,
    pub did_not_leave: Option<(Moment, &'h str)>,
}

impl<'h> FaultSpan<'h> {
    pub fn new(id: &'h str) -> FaultSpan<'h> {
        FaultSpan {
            id,
            injected: None,
            not_injected: None,
            bit: None,
            did_not_bite: None,
            healed: None,
            left: None,
            did_not_leave: None,
        }
    }

    /// Why it proves nothing, in words that follow its name, and the events that show that.
    fn vacuous(&self) -> Option<(String, Vec<u64>)> {
        if let Some((m, why)) = self.not_injected {
            return Some((format!("could not be injected: {why}"), vec![m.seq]));
        }
        let Some(injected) = self.injected else {
            return Some(("was never injected".into(), vec![]));
        };
        if let Some((m, seen)) = self.did_not_bite {
            return Some((format!("did not bite: {seen}"), vec![m.seq]));
        }
        let unseen = ("was never seen to bite".to_owned(), vec![injected.seq]);
        self.bit.is_none().then_some(unseen)
    }
}

impl<'h> Drill<'h> {
    /// When the first of its faults was injected.
    pub fn injected(&self) -> Option<Moment> {
        first(self.faults.iter().filter_map(|f| f.injected))
    }

    /// When the last of its faults was healed, if all that were injected are.
    pub fn healed(&self) -> Option<Moment> {
        let injected = self.faults.iter().filter(|f| f.injected.is_some() || f.healed.is_some());
        last(injected.map(|f| f.healed).collect::<Option<Vec<_>>>()?)
    }

    /// How one of its faults is called in a sentence.
    pub fn name_of(&self, fault: &str) -> String {
        match self.faults.len() {
            0 | 1 => format!("the fault of drill {}", self.id),
            _ => format!("fault {fault} of drill {}", self.id),
        }
    }

    /// Why it proves nothing, if one of its faults does not.
    pub fn vacuous(&self) -> Option<(String, Vec<u64>)> {
        if self.faults.is_empty() {
            let why = format!("{} was never injected", self.name_of(""));
            return Some((why, vec![self.began.seq]));
        }
        self.faults.iter().find_map(|fault| {
            let (why, seqs) = fault.vacuous()?;
            let seqs = if seqs.is_empty() { vec![self.began.seq] } else { seqs };
            Some((format!("{} {why}", self.name_of(fault.id)), seqs))
        })
    }

    /// One of its faults that was still there after it was healed, in words, and the event that
    /// shows it.
    pub fn still_there(&self) -> Option<(String, u64)> {
        self.faults.iter().find_map(|fault| {
            let (m, seen) = fault.did_not_leave?;
            let name = self.name_of(fault.id);
            Some((format!("{name} was still there after healing: {seen}"), m.seq))
        })
    }

    /// Its faults of these ids, or all; none if one of them was never heard of.
    fn named(&self, ids: &[String]) -> Option<Vec<&FaultSpan<'h>>> {
        if ids.is_empty() {
            return Some(self.faults.iter().collect());
        }
        ids.iter().map(|id| self.faults.iter().find(|f| f.id == id)).collect()
    }

    /// The drill as an alert with these causes sees it; none if one of them was not injected.
    fn seen_by(&self, causes: &Causes, until: f64) -> Option<Struck<'_, 'h>> {
        let faults = self.named(&causes.injected)?;
        let injected = faults.iter().map(|f| f.injected).collect::<Option<Vec<_>>>()?;
        let ending = self.named(&causes.healed).unwrap_or_default();
        let ended = ending.iter().map(|f| f.healed).collect::<Option<Vec<_>>>();
        Some(Struck {
            drill: self,
            first: first(injected.iter().copied())?,
            injected: last(injected)?,
            healed: first(faults.iter().filter_map(|f| f.healed)),
            ended: ended.and_then(last),
            until,
        })
    }
}

fn first(moments: impl IntoIterator<Item = Moment>) -> Option<Moment> {
    moments.into_iter().min_by_key(|m| m.at.mono_us)
}

fn last(moments: impl IntoIterator<Item = Moment>) -> Option<Moment> {
    moments.into_iter().max_by_key(|m| m.at.mono_us)
}

/// A drill as an alert sees it.
pub(crate) struct Struck<'t, 'h> {
    pub drill: &'t Drill<'h>,
    /// When the first fault of the alert's phase was injected: from then on it may fire.
    pub first: Moment,
    /// When the last one was: from then on its time counts.
    pub injected: Moment,
    /// When the first of them was healed.
    pub healed: Option<Moment>,
    /// When all were healed whose healing ends the alert: from then on the time of its end counts.
    pub ended: Option<Moment>,
    /// Until when the drill's events are its own, on the wall clock.
    pub until: f64,
}

impl Struck<'_, '_> {
    /// When it may begin to fire, from when its time counts, on the wall clock.
    pub fn injection(&self) -> Interval {
        Interval { from: self.first.at.wall_s(), to: self.injected.at.wall_s() }
    }

    /// Seconds from when its time counts until a wall-clock time; none before.
    pub fn after(&self, wall_s: f64) -> f64 {
        (wall_s - self.injected.at.wall_s()).max(0.0)
    }
}

impl<'h> Timeline<'h> {
    /// A drill as an alert with these causes sees it; none if one of them was not injected.
    pub fn seen_by(&self, id: &str, causes: &Causes) -> Option<Struck<'_, 'h>> {
        let drill = self.drill(id)?;
        drill.seen_by(causes, drill_until(self, drill))
    }

    /// The same of a drill whose faults bit; else why it proves nothing, and the events that show
    /// that.
    pub fn struck(&self, id: &str, causes: &Causes) -> Result<Struck<'_, 'h>, (String, Vec<u64>)> {
        let never = || (format!("what causes it in drill {id} was never injected"), vec![]);
        match self.vacuous(id) {
            Some(vacuous) => Err(vacuous),
            None => self.seen_by(id, causes).ok_or_else(never),
        }
    }
}
