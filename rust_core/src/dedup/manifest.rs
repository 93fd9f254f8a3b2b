//! Which runs make up the index, and where in the log it stands.
//!
//! ```text
//! magic "LAGODDX" and format version 1 · secret check 16
//! commit seq u64 · commit hash 32 · segment u64 · next run number u64
//! runs u32 × { number u64, keys u64 } · CRC-32 u32 of everything before it
//! ```

use super::run::Entry;
use super::Position;
use crate::chain::CommitHead;
use crate::error::{corrupt, Result};
use crate::id::Id;
use crate::wire::{put_count, put_id, put_u32, put_u64, Reader};

pub const NAME: &str = "manifest";
const MAGIC: &[u8; 8] = b"LAGODDX\x01";
const CRC_BYTES: usize = 4;

#[derive(Clone, Default)]
pub struct Manifest {
    pub position: Position,
    pub next_number: u64,
    pub runs: Vec<Entry>,
}

impl Manifest {
    pub fn encode(&self, secret_check: Id) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_id(&mut out, secret_check);
        put_u64(&mut out, self.position.commit.seq);
        out.extend_from_slice(&self.position.commit.hash);
        put_u64(&mut out, self.position.segment_no);
        put_u64(&mut out, self.next_number);
        put_count(&mut out, self.runs.len())?;
        for run in &self.runs {
            put_u64(&mut out, run.number);
            put_u64(&mut out, run.keys);
        }
        let checksum = crc32fast::hash(&out);
        put_u32(&mut out, checksum);
        Ok(out)
    }

    pub fn decode(bytes: &[u8], secret_check: Id) -> Result<Self> {
        let Some((body, checksum)) = bytes.split_last_chunk::<CRC_BYTES>() else {
            return corrupt("the manifest of the index is cut");
        };
        let mut reader = Reader::new(body, "the manifest of the index");
        if reader.take(MAGIC.len())? != MAGIC {
            return corrupt("the manifest of the index is not one of this version");
        }
        if crc32fast::hash(body).to_le_bytes() != *checksum {
            return corrupt("the manifest of the index is damaged");
        }
        if reader.id()? != secret_check {
            return corrupt("the index was made under another secret");
        }
        let commit = CommitHead {
            seq: reader.u64()?,
            hash: reader.hash()?,
        };
        let position = Position {
            commit,
            segment_no: reader.u64()?,
        };
        let next_number = reader.u64()?;
        let mut runs = Vec::new();
        for _ in 0..reader.count()? {
            runs.push(Entry {
                number: reader.u64()?,
                keys: reader.u64()?,
            });
        }
        reader.finish()?;
        Ok(Self {
            position,
            next_number,
            runs,
        })
    }
}
