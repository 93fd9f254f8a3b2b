//! Exact de-duplication: the fingerprints of all committed events, and those on their way into a commit.
//!
//! ```text
//! in flight → (commit) → recent, in memory → (spill) → runs on disk → (merge) → fewer runs
//! ```
//! `recent` is a hash set, a `run` an immutable sorted file whose `filter` in memory answers most questions; `index` moves
//! fingerprints along in the background. Memory is bounded by how many are recent, and 16.5 bits for each in a run.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::chain::CommitHead;
use crate::error::{corrupt, CoreError, Result};
use crate::id::{Id, IdMap};

pub mod filter;
pub mod folder;
pub mod index;
pub mod manifest;
pub mod merge;
pub mod recent;
pub mod run;
pub mod runs;

pub use index::Index;
pub use runs::Runs;

use recent::Recent;

/// What makes a body a repetition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Positions in the body, ascending.
    pub indexes: Vec<usize>,
    /// Batches whose commits decide whether these are duplicates, ascending; empty: they are.
    pub wait_for: Vec<u64>,
}

/// Where in the log an index stands: it holds the fingerprints of everything up to here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub commit: CommitHead,
    pub segment_no: u64,
}

/// Fingerprints on their way into a run.
#[derive(Clone)]
pub struct Frozen {
    recent: Arc<Recent>,
    position: Position,
}

#[derive(Default)]
pub struct Dedup {
    runs: Arc<Runs>,
    frozen: Option<Frozen>,
    recent: Recent,
    /// Fingerprint → batch that carries it.
    in_flight: IdMap<u64>,
    position: Position,
    /// The newest segment of which fingerprints are here; `position` follows at the end of its commit.
    segment_no: u64,
}

/// Figures of an index.
pub struct Figures {
    /// Committed events that could be repeated.
    pub fingerprints: u64,
    /// Those of them that are in no run yet.
    pub in_memory: u64,
    pub runs: usize,
    /// Memory of all of it, about.
    pub bytes: usize,
}

impl Dedup {
    fn new(runs: Runs, position: Position) -> Self {
        Self {
            runs: Arc::new(runs),
            position,
            segment_no: position.segment_no,
            ..Self::default()
        }
    }

    pub fn runs(&self) -> &Arc<Runs> {
        &self.runs
    }

    pub fn position(&self) -> Position {
        self.position
    }

    fn is_in_memory(&self, fingerprint: Id) -> bool {
        let frozen = self.frozen.as_ref();
        self.recent.contains(fingerprint)
            || frozen.is_some_and(|frozen| frozen.recent.contains(fingerprint))
    }

    /// Marks all fingerprints as carried by `batch`, or none if one of them was seen before.
    ///
    /// None stands for an event that is never a duplicate. `in_runs`: positions of those that `runs` hold, ascending.
    pub fn admit(
        &mut self,
        fingerprints: &[Option<Id>],
        in_runs: &[usize],
        batch: u64,
    ) -> std::result::Result<(), Duplicates> {
        let mut admitted = Vec::with_capacity(fingerprints.len());
        let mut duplicates = Duplicates::default();
        for (index, fingerprint) in fingerprints.iter().enumerate() {
            let Some(fingerprint) = *fingerprint else {
                continue;
            };
            if in_runs.binary_search(&index).is_ok() || self.is_in_memory(fingerprint) {
                duplicates.indexes.push(index);
                continue;
            }
            match self.in_flight.entry(fingerprint) {
                Entry::Vacant(slot) => {
                    slot.insert(batch);
                    admitted.push(fingerprint);
                }
                Entry::Occupied(slot) => {
                    duplicates.indexes.push(index);
                    // A repetition inside the body needs no commit to be one.
                    if !admitted.contains(&fingerprint) {
                        duplicates.wait_for.push(*slot.get());
                    }
                }
            }
        }
        if duplicates.indexes.is_empty() {
            return Ok(());
        }
        self.forget(admitted.into_iter());
        duplicates.wait_for.sort_unstable();
        duplicates.wait_for.dedup();
        Err(duplicates)
    }

    /// The events' batch was not committed.
    pub fn forget(&mut self, fingerprints: impl Iterator<Item = Id>) {
        for fingerprint in fingerprints {
            self.in_flight.remove(&fingerprint);
        }
    }

    /// The events' batch became part of this commit.
    pub fn commit(
        &mut self,
        fingerprints: impl Iterator<Item = Id>,
        position: Position,
    ) -> Result<()> {
        for fingerprint in fingerprints {
            self.in_flight.remove(&fingerprint);
            self.insert(fingerprint)?;
        }
        self.advance(position)
    }

    /// False: the index holds this segment's fingerprints already, because it stands for more of the log.
    pub fn begin_segment(&mut self, segment_no: u64) -> Result<bool> {
        if segment_no <= self.segment_no {
            return Ok(false);
        }
        if segment_no != self.segment_no + 1 {
            return Err(CoreError::State(
                "the index misses an earlier usage segment",
            ));
        }
        self.segment_no = segment_no;
        Ok(true)
    }

    /// Takes the fingerprint of a stored event; the log holds none twice.
    ///
    /// One that a run holds is found when the runs are merged.
    pub fn insert(&mut self, fingerprint: Id) -> Result<()> {
        let frozen = self.frozen.as_ref();
        if frozen.is_some_and(|frozen| frozen.recent.contains(fingerprint))
            || !self.recent.insert(fingerprint)
        {
            return corrupt(format!("a usage event is stored twice: {fingerprint:032x}"));
        }
        Ok(())
    }

    pub fn insert_all(&mut self, mut fingerprints: impl Iterator<Item = Id>) -> Result<()> {
        fingerprints.try_for_each(|fingerprint| self.insert(fingerprint))
    }

    /// The end of a commit whose fingerprints are all here.
    pub fn advance(&mut self, position: Position) -> Result<()> {
        let ours = self.position.commit;
        if position.commit.seq == ours.seq + 1 {
            self.position = position;
            self.segment_no = position.segment_no;
            return Ok(());
        }
        if position.commit.seq > ours.seq {
            return Err(CoreError::State("the index misses an earlier commit"));
        }
        if position.commit.seq == ours.seq && position.commit != ours {
            return Err(CoreError::Index("the index is of another log".to_owned()));
        }
        Ok(())
    }

    /// Takes what is in memory, if there is enough, out of the way of new fingerprints; it is searched until `adopt`.
    ///
    /// What an earlier call took and did not get into a run is given again.
    fn freeze(&mut self, at_least: u64) -> Option<Frozen> {
        let between_commits = self.segment_no == self.position.segment_no;
        if self.frozen.is_none() && between_commits && self.recent.count() >= at_least.max(1) {
            self.frozen = Some(Frozen {
                recent: Arc::new(std::mem::take(&mut self.recent)),
                position: self.position,
            });
        }
        self.frozen.clone()
    }

    /// Searches these runs from now on; gives the fingerprints that are no longer needed in memory.
    fn adopt(&mut self, runs: Arc<Runs>) -> Option<Frozen> {
        let spilled = runs.spills != self.runs.spills;
        self.runs = runs;
        self.frozen.take_if(|_| spilled)
    }

    pub fn figures(&self) -> Figures {
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.recent);
        let in_memory = || [&self.recent].into_iter().chain(frozen);
        let recent: u64 = in_memory().map(Recent::count).sum();
        Figures {
            fingerprints: self.runs.keys() + recent,
            in_memory: recent,
            runs: self.runs.all.len(),
            bytes: self.runs.bytes() + in_memory().map(Recent::bytes).sum::<usize>(),
        }
    }
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
