//! Ids of operations.

use crate::draw::{digest, mix};

/// Header by which an id travels, in requests and in mail.
pub const HEADER: &str = "X-Operation-Id";

/// The same, as a client writes it.
pub(crate) const HEADER_NAME: &str = "x-operation-id";

/// Most steps of a journey.
pub const STEPS: u64 = 16;

/// Ids of one stream of a run: 32 hexadecimal digits, from the seed, the stream's name, the number
/// of the arrival and that of the step. No two operations of a stream have the same id, and streams
/// (and seeds) differ in the first half.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    stream: u64,
}

impl Ids {
    /// The ids of this stream.
    pub fn new(seed: u64, stream: &str) -> Ids {
        Ids { stream: mix(seed ^ digest(stream)) }
    }

    /// The id of a step (from 0, below [`STEPS`]) of an arrival (from 0).
    pub fn of(&self, arrival: u64, step: u64) -> String {
        // `mix` and the addition of a constant are bijections: unlike numbers stay unlike.
        format!(
            "{:016x}{:016x}",
            self.stream,
            mix((arrival * STEPS + step).wrapping_add(self.stream))
        )
    }

    /// Whether an id is of this stream.
    pub fn are_ours(&self, id: &str) -> bool {
        id.len() == 32
            && id.get(..16).and_then(|half| u64::from_str_radix(half, 16).ok()) == Some(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn ids_are_unique_and_follow_from_seed_and_stream(seed: u64) {
            let (ids, again, other) = (Ids::new(seed, "background"), Ids::new(seed, "background"), Ids::new(seed, "burst"));
            let every = || (0..100).flat_map(|arrival| (0..STEPS).map(move |step| (arrival, step)));
            let all: HashSet<String> = every().map(|(a, s)| ids.of(a, s)).collect();
            prop_assert_eq!(all.len() as u64, 100 * STEPS);
            prop_assert!(every().all(|(a, s)| all.contains(&again.of(a, s)) && !all.contains(&other.of(a, s))));
            prop_assert!(all.iter().all(|id| ids.are_ours(id) && !other.are_ours(id)));
            prop_assert!(all.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        }
    }
}
