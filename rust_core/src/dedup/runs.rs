//! The runs that are searched: a list that never changes, replaced by another one.

use std::sync::Arc;

use super::run::Run;
use crate::error::Result;
use crate::id::Id;

/// Runs of one magnitude until they become one run.
const FAN_OUT: usize = 4;
/// Runs below this are of one magnitude.
const SMALL_KEYS: u64 = 1 << 20;

#[derive(Clone, Default)]
pub struct Runs {
    /// Grows whenever fingerprints move from memory into a run; merging moves none.
    pub spills: u64,
    pub all: Vec<Arc<Run>>,
}

impl Runs {
    /// Positions of the keys that a run holds, ascending.
    pub fn find(&self, keys: &[Option<Id>]) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        let mut candidates = Vec::new();
        for run in &self.all {
            // Filters first: one cache line each, none of which waits for another.
            candidates.clear();
            for (position, key) in keys.iter().enumerate() {
                if key.is_some_and(|key| run.filter.may_contain(key)) {
                    candidates.push(position);
                }
            }
            for &position in &candidates {
                if let Some(key) = keys[position] {
                    if run.contains(key)? {
                        found.push(position);
                    }
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    pub fn with(&self, run: Run, replaced: &[Arc<Run>]) -> Self {
        let kept = |known: &&Arc<Run>| !replaced.iter().any(|old| Arc::ptr_eq(old, known));
        let mut all: Vec<Arc<Run>> = self.all.iter().filter(kept).cloned().collect();
        all.push(Arc::new(run));
        Self {
            spills: self.spills + u64::from(replaced.is_empty()),
            all,
        }
    }

    /// Runs to merge: [`FAN_OUT`] of the least magnitude that has so many, the oldest first.
    ///
    /// So there are at most three runs per magnitude, and a fingerprint is rewritten once per magnitude.
    pub fn to_merge(&self) -> Option<Vec<Arc<Run>>> {
        let magnitudes = self.all.iter().map(|run| magnitude(run.entry.keys));
        let highest = magnitudes.max()?;
        (0..=highest).find_map(|wanted| {
            let of_it = |run: &&Arc<Run>| magnitude(run.entry.keys) == wanted;
            let runs: Vec<_> = self
                .all
                .iter()
                .filter(of_it)
                .take(FAN_OUT)
                .cloned()
                .collect();
            (runs.len() == FAN_OUT).then_some(runs)
        })
    }

    pub fn keys(&self) -> u64 {
        self.all.iter().map(|run| run.entry.keys).sum()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.all.iter().map(|run| run.bytes()).sum()
    }
}

fn magnitude(keys: u64) -> u32 {
    (keys / SMALL_KEYS)
        .checked_ilog(FAN_OUT as u64)
        .map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_grow_by_the_fan_out() {
        let keys = [
            0,
            1,
            SMALL_KEYS - 1,
            SMALL_KEYS,
            4 * SMALL_KEYS - 1,
            4 * SMALL_KEYS,
            64 * SMALL_KEYS,
        ];
        assert_eq!(keys.map(magnitude), [0, 0, 0, 1, 1, 2, 4]);
    }
}
