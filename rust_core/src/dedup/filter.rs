//! Which keys a run may hold: a split block Bloom filter (Putze, Sanders, Singler 2007; the one of Apache Parquet).
//!
//! A key sets one bit in each word of one block of 256 bits, so a question costs one cache line. The block follows from
//! the key's high bits: sorted keys fill a filter from front to back. At 16 bits per key one question in 1,000 about a
//! key that is not there is answered "perhaps".

use crate::id::Id;

const BITS_PER_KEY: u64 = 16;
const WORDS: usize = 8;
pub const BLOCK_BYTES: usize = 4 * WORDS;

/// Odd constants of the Parquet specification; each takes other bits of the key.
const SALTS: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Aligned, so that no block lies in two cache lines.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Block([u32; WORDS]);

#[derive(Default)]
pub struct Filter {
    blocks: Vec<Block>,
}

/// How many blocks a filter for so many keys has.
pub fn blocks_for(keys: u64) -> u64 {
    let bits = keys.saturating_mul(BITS_PER_KEY);
    bits.div_ceil(8 * BLOCK_BYTES as u64).max(1)
}

#[allow(clippy::cast_possible_truncation)] // Each salt takes what it needs of the low bits.
fn mask(key: Id) -> [u32; WORDS] {
    SALTS.map(|salt| 1 << ((key as u32).wrapping_mul(salt) >> 27))
}

impl Filter {
    pub fn for_keys(keys: u64) -> Self {
        let blocks = usize::try_from(blocks_for(keys)).unwrap_or(usize::MAX);
        Self {
            blocks: vec![Block::default(); blocks],
        }
    }

    #[allow(clippy::cast_possible_truncation)] // Less than the number of blocks.
    fn block_of(&self, key: Id) -> usize {
        (((key >> 64) * self.blocks.len() as u128) >> 64) as usize
    }

    pub fn insert(&mut self, key: Id) {
        let block = self.block_of(key);
        for (word, bit) in self.blocks[block].0.iter_mut().zip(mask(key)) {
            *word |= bit;
        }
    }

    /// False: the key was never inserted.
    pub fn may_contain(&self, key: Id) -> bool {
        let block = &self.blocks[self.block_of(key)].0;
        let missing = block
            .iter()
            .zip(mask(key))
            .fold(0, |missing, (word, bit)| missing | (!word & bit));
        missing == 0
    }

    pub fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    pub fn encode(&self) -> impl Iterator<Item = [u8; BLOCK_BYTES]> + '_ {
        self.blocks.iter().map(|block| {
            let mut bytes = [0; BLOCK_BYTES];
            for (slot, word) in bytes.chunks_exact_mut(4).zip(block.0) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.blocks
            .extend(bytes.chunks_exact(BLOCK_BYTES).map(|block| {
                let mut words = [0; WORDS];
                for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                    *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
                Block(words)
            }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::testing::key;

    #[test]
    fn knows_every_key_and_few_others() {
        const KEYS: u64 = 100_000;
        let mut filter = Filter::for_keys(KEYS);
        for number in 0..KEYS {
            filter.insert(key(number));
        }
        let mut again = Filter::default();
        filter.encode().for_each(|block| again.extend(&block));
        assert_eq!(again.bytes() as u64, 32 * blocks_for(KEYS));
        assert!((0..KEYS).all(|number| again.may_contain(key(number))));
        let wrong = (KEYS..2 * KEYS).filter(|&number| again.may_contain(key(number)));
        let wrong = wrong.count();
        assert!((50..=250).contains(&wrong), "{wrong} of {KEYS}");
    }

    #[test]
    fn an_empty_filter_knows_nothing() {
        let filter = Filter::for_keys(0);
        assert!((0..100).all(|number| !filter.may_contain(key(number))));
    }
}
