//! A run: an immutable file of sorted fingerprints, with what finds one of them by a single read.
//!
//! ```text
//! header   64   magic "LAGORUN" and format version 2 · number u64 · secret check 16 · keys u64 · zeros · CRC-32 u32
//! blocks   n ×  4096: up to 255 fingerprints 16 · zeros · CRC-32 u32 of the block before it
//! fences   n ×  first fingerprint of the block 16
//! filter   m ×  32 (`filter.rs`)
//! CRC-32   u32  of fences and filter
//! ```
//! Fences and filter stay in memory: 16.5 bits per fingerprint.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::filter::{self, Filter};
use super::folder::{Folder, Part};
use crate::error::{corrupt, CoreError, Result};
use crate::id::Id;
use crate::wire::{put_id, put_u32, put_u64, Reader};

const MAGIC: &[u8; 8] = b"LAGORUN\x02";
const HEADER_BYTES: usize = 64;
const BLOCK_BYTES: usize = 4096;
const KEY_BYTES: usize = size_of::<Id>();
const KEYS_PER_BLOCK: u64 = 255;
const CRC_BYTES: usize = 4;
/// Blocks read at once by a merge.
const READ_BLOCKS: u64 = 64;

/// What the manifest says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub keys: u64,
}

impl Entry {
    pub fn name(&self) -> String {
        format!("{:010}.run", self.number)
    }

    fn blocks(&self) -> u64 {
        self.keys.div_ceil(KEYS_PER_BLOCK)
    }

    fn fences_at(&self) -> u64 {
        HEADER_BYTES as u64 + self.blocks() * BLOCK_BYTES as u64
    }

    fn index_bytes(&self) -> u64 {
        let filter = filter::blocks_for(self.keys) * filter::BLOCK_BYTES as u64;
        self.blocks() * KEY_BYTES as u64 + filter
    }

    fn file_bytes(&self) -> u64 {
        self.fences_at() + self.index_bytes() + CRC_BYTES as u64
    }

    /// Fingerprints of one block; all blocks but the last are full.
    fn keys_in(&self, block: u64) -> usize {
        let keys = (self.keys - block * KEYS_PER_BLOCK).min(KEYS_PER_BLOCK);
        usize::try_from(keys).unwrap_or_default()
    }

    fn header(&self, secret_check: Id) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        put_u64(&mut header, self.number);
        put_id(&mut header, secret_check);
        put_u64(&mut header, self.keys);
        header.resize(HEADER_BYTES - CRC_BYTES, 0);
        let checksum = crc32fast::hash(&header);
        put_u32(&mut header, checksum);
        header
    }

    fn damaged<T>(&self, what: &str) -> Result<T> {
        corrupt(format!("the run {} is damaged: {what}", self.name()))
    }
}

/// Writes a run from its fingerprints in ascending order.
pub struct RunWriter<'a> {
    entry: Entry,
    part: Part<'a>,
    block: Vec<u8>,
    fences: Vec<Id>,
    filter: Filter,
    last: Option<Id>,
    written: u64,
}

impl<'a> RunWriter<'a> {
    pub fn new(folder: &'a Folder, entry: Entry, secret_check: Id) -> Result<Self> {
        let mut part = folder.create(&entry.name())?;
        part.write(&entry.header(secret_check))?;
        Ok(Self {
            entry,
            part,
            block: Vec::with_capacity(BLOCK_BYTES),
            fences: Vec::with_capacity(usize::try_from(entry.blocks()).unwrap_or_default()),
            filter: Filter::for_keys(entry.keys),
            last: None,
            written: 0,
        })
    }

    pub fn push(&mut self, key: Id) -> Result<()> {
        if self.last >= Some(key) {
            return corrupt(format!("a usage event is stored twice: {key:032x}"));
        }
        self.last = Some(key);
        self.written += 1;
        if self.block.is_empty() {
            self.fences.push(key);
        }
        put_id(&mut self.block, key);
        self.filter.insert(key);
        if self.block.len() as u64 == KEYS_PER_BLOCK * KEY_BYTES as u64 {
            self.close_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<()> {
        self.block.resize(BLOCK_BYTES - CRC_BYTES, 0);
        let checksum = crc32fast::hash(&self.block);
        put_u32(&mut self.block, checksum);
        self.part.write(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// The run, durable under its name.
    pub fn finish(mut self, folder: &Folder) -> Result<Run> {
        if self.written != self.entry.keys {
            return Err(CoreError::State("a run has another length than was said"));
        }
        if !self.block.is_empty() {
            self.close_block()?;
        }
        let mut checksum = crc32fast::Hasher::new();
        for fence in &self.fences {
            let bytes = fence.to_be_bytes();
            checksum.update(&bytes);
            self.part.write(&bytes)?;
        }
        for block in self.filter.encode() {
            checksum.update(&block);
            self.part.write(&block)?;
        }
        self.part.write(&checksum.finalize().to_le_bytes())?;
        self.part.publish()?;
        Ok(Run {
            file: folder.open_file(&self.entry.name())?,
            entry: self.entry,
            fences: self.fences,
            filter: self.filter,
        })
    }
}

/// A run on disk, its fences and filter in memory.
pub struct Run {
    pub entry: Entry,
    file: File,
    fences: Vec<Id>,
    pub filter: Filter,
}

impl Run {
    /// Checks everything but the blocks, which are checked whenever they are read.
    pub fn open(folder: &Folder, entry: Entry, secret_check: Id) -> Result<Self> {
        let file = match folder.open_file(&entry.name()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return entry.damaged("it is missing");
            }
            file => file?,
        };
        if file.metadata()?.len() != entry.file_bytes() {
            return entry.damaged("its length");
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        if header[..] != entry.header(secret_check) {
            return entry.damaged("its header");
        }
        let (fences, filter) = read_index(&file, entry)?;
        Ok(Self {
            entry,
            file,
            fences,
            filter,
        })
    }

    /// Whether the run holds the key, by one read.
    pub fn contains(&self, key: Id) -> Result<bool> {
        let Some(block) = self
            .fences
            .partition_point(|&fence| fence <= key)
            .checked_sub(1)
        else {
            return Ok(false);
        };
        let mut bytes = [0; BLOCK_BYTES];
        let block = block as u64;
        let offset = HEADER_BYTES as u64 + block * BLOCK_BYTES as u64;
        self.file.read_exact_at(&mut bytes, offset)?;
        let (keys, _) = self.checked(block, &bytes)?.as_chunks::<KEY_BYTES>();
        Ok(keys.binary_search(&key.to_be_bytes()).is_ok())
    }

    /// The fingerprints in a block.
    fn checked<'a>(&self, block: u64, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let (body, checksum) = bytes.split_at(BLOCK_BYTES - CRC_BYTES);
        if crc32fast::hash(body).to_le_bytes() != checksum {
            return self.entry.damaged(&format!("block {block}"));
        }
        Ok(&body[..self.entry.keys_in(block) * KEY_BYTES])
    }

    /// All fingerprints, ascending.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            run: self,
            block: 0,
            read: Vec::new().into_iter(),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.fences.len() * KEY_BYTES + self.filter.bytes()
    }
}

fn read_index(file: &File, entry: Entry) -> Result<(Vec<Id>, Filter)> {
    const CHUNK_BYTES: u64 = 1 << 20;
    let mut at = entry.fences_at();
    let filter_at = at + entry.blocks() * KEY_BYTES as u64;
    let end = at + entry.index_bytes();
    let mut checksum = crc32fast::Hasher::new();
    let (mut fences, mut filter) = (Vec::new(), Filter::default());
    let mut chunk = Vec::new();
    while at < end {
        let limit = if at < filter_at { filter_at } else { end };
        let length = (limit - at).min(CHUNK_BYTES);
        chunk.resize(usize::try_from(length).unwrap_or_default(), 0);
        file.read_exact_at(&mut chunk, at)?;
        checksum.update(&chunk);
        if at < filter_at {
            let (keys, _) = chunk.as_chunks::<KEY_BYTES>();
            fences.extend(keys.iter().map(|key| Id::from_be_bytes(*key)));
        } else {
            filter.extend(&chunk);
        }
        at += length;
    }
    let mut expected = [0; CRC_BYTES];
    file.read_exact_at(&mut expected, end)?;
    if checksum.finalize() != Reader::new(&expected, "a run").u32()? {
        return entry.damaged("its fences or its filter");
    }
    Ok((fences, filter))
}

/// The fingerprints of a run in ascending order, read in large pieces.
pub struct Keys<'a> {
    run: &'a Run,
    block: u64,
    read: std::vec::IntoIter<Id>,
}

impl Keys<'_> {
    pub fn next_key(&mut self) -> Result<Option<Id>> {
        if let Some(key) = self.read.next() {
            return Ok(Some(key));
        }
        self.refill()?;
        Ok(self.read.next())
    }

    fn refill(&mut self) -> Result<()> {
        let count = (self.run.entry.blocks() - self.block).min(READ_BLOCKS);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or_default() * BLOCK_BYTES];
        let offset = HEADER_BYTES as u64 + self.block * BLOCK_BYTES as u64;
        self.run.file.read_exact_at(&mut bytes, offset)?;
        let mut keys = Vec::with_capacity(bytes.len() / KEY_BYTES);
        for block in bytes.chunks_exact(BLOCK_BYTES) {
            let (found, _) = self
                .run
                .checked(self.block, block)?
                .as_chunks::<KEY_BYTES>();
            keys.extend(found.iter().map(|key| Id::from_be_bytes(*key)));
            self.block += 1;
        }
        self.read = keys.into_iter();
        Ok(())
    }
}
