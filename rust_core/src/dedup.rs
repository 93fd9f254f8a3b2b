//! Exact de-duplication: the fingerprints of all committed events, and those on their way into a commit.

use std::collections::hash_map::Entry;

use crate::error::{corrupt, Result};
use crate::id::{Id, IdMap, IdSet};
use crate::wire::{put_id, put_u64, Reader};

/// Each shard grows by itself, so no single event pays for re-hashing everything.
const SHARD_BITS: u32 = 10;

/// What makes a body a repetition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Positions in the body, ascending.
    pub indexes: Vec<usize>,
    /// Batches whose commits decide whether these are duplicates, ascending; empty: they are.
    pub wait_for: Vec<u64>,
}

pub struct Dedup {
    committed: Vec<IdSet>,
    /// Fingerprint → batch that carries it.
    in_flight: IdMap<u64>,
    count: u64,
}

impl Default for Dedup {
    fn default() -> Self {
        Self {
            committed: vec![IdSet::default(); 1 << SHARD_BITS],
            in_flight: IdMap::default(),
            count: 0,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // The shift leaves SHARD_BITS bits.
fn shard_of(fingerprint: Id) -> usize {
    (fingerprint >> (Id::BITS - SHARD_BITS)) as usize
}

impl Dedup {
    /// Marks all fingerprints as carried by `batch`, or none if one of them was seen before.
    ///
    /// None stands for an event that is never a duplicate.
    pub fn admit(
        &mut self,
        fingerprints: impl Iterator<Item = Option<Id>>,
        batch: u64,
    ) -> std::result::Result<(), Duplicates> {
        let mut admitted = Vec::with_capacity(fingerprints.size_hint().0);
        let mut duplicates = Duplicates::default();
        for (index, fingerprint) in fingerprints.enumerate() {
            let Some(fingerprint) = fingerprint else {
                continue;
            };
            if self.committed[shard_of(fingerprint)].contains(&fingerprint) {
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

    /// The events' batch was committed.
    pub fn commit(&mut self, fingerprints: impl Iterator<Item = Id>) -> Result<()> {
        for fingerprint in fingerprints {
            self.in_flight.remove(&fingerprint);
            self.insert(fingerprint)?;
        }
        Ok(())
    }

    /// Takes the fingerprint of a stored event; the log holds none twice.
    pub fn insert(&mut self, fingerprint: Id) -> Result<()> {
        if !self.committed[shard_of(fingerprint)].insert(fingerprint) {
            return corrupt(format!("a usage event is stored twice: {fingerprint:032x}"));
        }
        self.count += 1;
        Ok(())
    }

    /// How many committed events could be repeated.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends the committed fingerprints.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.count);
        for fingerprint in self.committed.iter().flatten() {
            put_id(out, *fingerprint);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut dedup = Self::default();
        for _ in 0..reader.u64()? {
            dedup.insert(reader.id()?)?;
        }
        Ok(dedup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(
        dedup: &mut Dedup,
        fingerprints: &[Id],
        batch: u64,
    ) -> std::result::Result<(), Duplicates> {
        dedup.admit(fingerprints.iter().copied().map(Some), batch)
    }

    fn refused(indexes: &[usize], wait_for: &[u64]) -> std::result::Result<(), Duplicates> {
        Err(Duplicates {
            indexes: indexes.to_vec(),
            wait_for: wait_for.to_vec(),
        })
    }

    #[test]
    fn a_body_waits_for_every_batch_it_repeats() {
        let mut dedup = Dedup::default();
        assert_eq!(admit(&mut dedup, &[1, 2], 1), Ok(()));
        assert_eq!(admit(&mut dedup, &[3], 2), Ok(()));
        assert_eq!(
            admit(&mut dedup, &[9, 2, 9, 3], 2),
            refused(&[1, 2, 3], &[1, 2])
        );
        dedup.commit([1, 2].into_iter()).unwrap();
        assert_eq!(admit(&mut dedup, &[2, 3], 3), refused(&[0, 1], &[2]));
        assert_eq!(admit(&mut dedup, &[2], 3), refused(&[0], &[]));
        dedup.forget([3].into_iter());
        assert_eq!(admit(&mut dedup, &[3, 9], 3), Ok(()));
    }

    #[test]
    fn nothing_of_a_refused_body_remains() {
        let mut dedup = Dedup::default();
        assert_eq!(admit(&mut dedup, &[5, 6, 5], 1), refused(&[2], &[]));
        assert_eq!(admit(&mut dedup, &[5, 6], 1), Ok(()));
        assert_eq!(dedup.admit([None, None].into_iter(), 1), Ok(()));
        assert!(dedup.commit([5, 6].into_iter()).is_ok());
        assert!(dedup.in_flight.is_empty());
        assert!(dedup.insert(5).is_err());
    }
}
