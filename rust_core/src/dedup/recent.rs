//! Fingerprints in memory.

use crate::id::{Id, IdSet};

/// Each shard grows by itself, so no single event pays for re-hashing everything.
const SHARD_BITS: u32 = 10;

/// A set of fingerprints, sharded by their first bits.
pub struct Recent {
    shards: Vec<IdSet>,
    count: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            shards: vec![IdSet::default(); 1 << SHARD_BITS],
            count: 0,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // The shift leaves SHARD_BITS bits.
fn shard_of(fingerprint: Id) -> usize {
    (fingerprint >> (Id::BITS - SHARD_BITS)) as usize
}

impl Recent {
    pub fn contains(&self, fingerprint: Id) -> bool {
        self.shards[shard_of(fingerprint)].contains(&fingerprint)
    }

    /// False: it was there already.
    pub fn insert(&mut self, fingerprint: Id) -> bool {
        let new = self.shards[shard_of(fingerprint)].insert(fingerprint);
        self.count += u64::from(new);
        new
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them, ascending.
    pub fn sorted(&self) -> impl Iterator<Item = Id> + '_ {
        self.shards.iter().flat_map(|shard| {
            let mut sorted: Vec<Id> = shard.iter().copied().collect();
            sorted.sort_unstable();
            sorted
        })
    }

    /// Bytes of memory, about: a slot is a fingerprint and a control byte, and an eighth of the slots stays free.
    pub fn bytes(&self) -> usize {
        let slots: usize = self
            .shards
            .iter()
            .map(|shard| shard.capacity() / 7 * 8)
            .sum();
        slots * (size_of::<Id>() + 1)
    }
}
