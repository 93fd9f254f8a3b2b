//! A segment: the usage records of all streams in one commit, packed.
//!
//! ```text
//! magic        8    "LAGOSEG" and the format version, 1
//! number       u64  1, 2, 3, …
//! recorded at  i64  µs
//! entries      u32  n
//! blocks       u32  m
//! events       u64  of all entries
//! directory    n × { stream 16, version u64, hash 32, events u32, block u32, offset u32, length u32,
//!                    min timestamp i64, max timestamp i64 }, ascending by stream
//! block table  m × { unpacked length u32, packed length u32, CRC-32 of the packed bytes u32 }
//! CRC-32       u32  of everything before it
//! blocks       m zstd frames; unpacked, a block is the records (`record.rs`) of one or more entries
//! ```
//! Offset and length of an entry count in its unpacked block. The CRCs find accidents; the hash chain
//! (`chain.rs`, `verify.rs`) finds everything.

use std::fmt;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{compress_bound, WriteBuf};

use crate::chain::{Head, USAGE_TOPIC};
use crate::error::{corrupt, CoreError, Result};
use crate::id::Id;
use crate::record::Record;
use crate::wire::{put_i64, put_id, put_u32, put_u64, to_u32, Hash, Reader};

const MAGIC: &[u8; 8] = b"LAGOSEG\x01";
const BLOCK_BYTES: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// Directory entry of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub stream: Id,
    pub head: Head,
    pub events: u32,
    pub min_us: i64,
    pub max_us: i64,
    block: u32,
    offset: u32,
    length: u32,
}

impl Entry {
    /// The record's bytes in its unpacked block.
    fn cut<'a>(&self, number: u64, block: &'a [u8]) -> Result<&'a [u8]> {
        let start = self.offset as usize;
        let record = block
            .get(start..)
            .and_then(|rest| rest.get(..self.length as usize));
        match record {
            Some(record) => Ok(record),
            None => corrupt(format!(
                "usage segment {number}: a record lies outside its block"
            )),
        }
    }

    fn record<'a>(&self, number: u64, block: &'a [u8]) -> Result<Record<'a>> {
        let record = Record::decode(self.cut(number, block)?)?;
        if record.count != self.events as usize {
            return corrupt(format!(
                "usage segment {number}: a record has another number of events than its entry"
            ));
        }
        Ok(record)
    }
}

/// What packing a segment takes, used again for the next one.
pub struct Packer {
    compressor: Compressor<'static>,
    /// Records of the open block, and a block packed.
    open: Vec<u8>,
    block: Vec<u8>,
}

impl Packer {
    pub fn new() -> Result<Self> {
        Ok(Self {
            compressor: Compressor::new(ZSTD_LEVEL).map_err(zstd_failed)?,
            open: Vec::with_capacity(2 * BLOCK_BYTES),
            block: Vec::new(),
        })
    }
}

/// Collects records in ascending order of their stream.
pub struct SegmentWriter<'p> {
    number: u64,
    recorded_at_us: i64,
    directory: Vec<u8>,
    entries: u32,
    events: u64,
    table: Vec<u8>,
    blocks: u32,
    packed: Vec<u8>,
    packer: &'p mut Packer,
}

fn zstd_failed(error: impl fmt::Display) -> CoreError {
    CoreError::Corruption(format!("zstd: {error}"))
}

impl<'p> SegmentWriter<'p> {
    pub fn new(number: u64, recorded_at_us: i64, packer: &'p mut Packer) -> Self {
        packer.open.clear();
        Self {
            number,
            recorded_at_us,
            directory: Vec::new(),
            entries: 0,
            events: 0,
            table: Vec::new(),
            blocks: 0,
            packed: Vec::new(),
            packer,
        }
    }

    /// Adds the record that `write` appends; gives the new head of its stream.
    pub fn record(
        &mut self,
        stream: Id,
        previous: &Head,
        span_us: (i64, i64),
        events: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Head> {
        let offset = self.packer.open.len();
        write(&mut self.packer.open)?;
        let record = &self.packer.open[offset..];
        let head = previous.next(stream, USAGE_TOPIC, record)?;
        put_id(&mut self.directory, stream);
        put_u64(&mut self.directory, head.version);
        self.directory.extend_from_slice(&head.hash);
        for field in [
            events,
            self.blocks,
            to_u32(offset, "a block")?,
            to_u32(record.len(), "a usage record")?,
        ] {
            put_u32(&mut self.directory, field);
        }
        put_i64(&mut self.directory, span_us.0);
        put_i64(&mut self.directory, span_us.1);
        self.entries += 1;
        self.events += u64::from(events);
        if self.packer.open.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(head)
    }

    fn close_block(&mut self) -> Result<()> {
        let Packer {
            compressor,
            open,
            block,
        } = &mut *self.packer;
        block.clear();
        block.reserve(compress_bound(open.len()));
        compressor
            .compress_to_buffer(open, block)
            .map_err(zstd_failed)?;
        put_u32(&mut self.table, to_u32(open.len(), "a block")?);
        put_u32(&mut self.table, to_u32(block.len(), "a block")?);
        put_u32(&mut self.table, crc32fast::hash(block));
        self.packed.extend_from_slice(block);
        self.blocks += 1;
        open.clear();
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<u8>> {
        if !self.packer.open.is_empty() {
            self.close_block()?;
        }
        let mut out =
            Vec::with_capacity(64 + self.directory.len() + self.table.len() + self.packed.len());
        out.extend_from_slice(MAGIC);
        put_u64(&mut out, self.number);
        put_i64(&mut out, self.recorded_at_us);
        put_u32(&mut out, self.entries);
        put_u32(&mut out, self.blocks);
        put_u64(&mut out, self.events);
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.table);
        let checksum = crc32fast::hash(&out);
        put_u32(&mut out, checksum);
        out.extend_from_slice(&self.packed);
        Ok(out)
    }
}

struct Block<'a> {
    unpacked: usize,
    checksum: u32,
    packed: &'a [u8],
}

/// A segment read in place; blocks are unpacked on demand.
pub struct Segment<'a> {
    pub number: u64,
    pub recorded_at_us: i64,
    pub events: u64,
    pub entries: Vec<Entry>,
    blocks: Vec<Block<'a>>,
}

impl<'a> Segment<'a> {
    /// Reads and checks all but the blocks.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, "a usage segment");
        if reader.take(MAGIC.len())? != MAGIC {
            return corrupt("a usage segment does not begin as one of this version");
        }
        let number = reader.u64()?;
        let recorded_at_us = reader.i64()?;
        let entry_count = reader.count()?;
        let block_count = reader.count()?;
        let events = reader.u64()?;
        let entries = read_all(entry_count, || read_entry(&mut reader))?;
        let table = read_all(block_count, || {
            Ok((reader.count()?, reader.count()?, reader.u32()?))
        })?;
        let checksum = reader.u32()?;
        let mut blocks = Vec::with_capacity(table.len());
        let packed_bytes: usize = table.iter().map(|(_, packed, _)| packed).sum();
        let Some(header) = bytes.len().checked_sub(packed_bytes + 4) else {
            return corrupt(format!("usage segment {number} is cut"));
        };
        if crc32fast::hash(&bytes[..header]) != checksum {
            return corrupt(format!("usage segment {number}: the directory is damaged"));
        }
        for (unpacked, packed, checksum) in table {
            let packed = reader.take(packed)?;
            blocks.push(Block {
                unpacked,
                checksum,
                packed,
            });
        }
        reader.finish()?;
        Ok(Self {
            number,
            recorded_at_us,
            events,
            entries,
            blocks,
        })
    }

    /// Checks and unpacks one block.
    fn unpack<B: WriteBuf + ?Sized>(
        &self,
        index: u32,
        decompressor: &mut Decompressor<'static>,
        out: &mut B,
    ) -> Result<()> {
        let damaged = || {
            let number = self.number;
            CoreError::Corruption(format!("usage segment {number}: block {index} is damaged"))
        };
        let block = self.blocks.get(index as usize).ok_or_else(damaged)?;
        if crc32fast::hash(block.packed) != block.checksum {
            return Err(damaged());
        }
        match decompressor.decompress_to_buffer(block.packed, out) {
            Ok(length) if length == block.unpacked => Ok(()),
            _ => Err(damaged()),
        }
    }

    /// Reads the records of the entries in ascending order without unpacking a block twice.
    pub fn records(&self) -> Result<RecordReader<'_, 'a>> {
        Ok(RecordReader {
            segment: self,
            decompressor: Decompressor::new().map_err(zstd_failed)?,
            unpacked: Vec::new(),
            block: None,
        })
    }
}

fn read_all<T>(count: usize, mut read: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(read()?);
    }
    Ok(all)
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Entry> {
    let stream = reader.id()?;
    let version = reader.u64()?;
    let hash: Hash = reader.hash()?;
    Ok(Entry {
        stream,
        head: Head { version, hash },
        events: reader.u32()?,
        block: reader.u32()?,
        offset: reader.u32()?,
        length: reader.u32()?,
        min_us: reader.i64()?,
        max_us: reader.i64()?,
    })
}

/// Unpacks whole segments, one after the other.
pub struct Unpacker {
    decompressor: Decompressor<'static>,
    /// Where the blocks of the segment start in its texts.
    starts: Vec<usize>,
}

impl Unpacker {
    pub fn new() -> Result<Self> {
        Ok(Self {
            decompressor: Decompressor::new().map_err(zstd_failed)?,
            starts: Vec::new(),
        })
    }

    /// Writes all blocks over `texts`, one after the other; what memory it has is used again.
    pub fn unpack(&mut self, segment: &Segment<'_>, texts: &mut Vec<u8>) -> Result<()> {
        self.starts.clear();
        let unpacked = segment.blocks.iter().map(|block| block.unpacked).sum();
        if texts.len() < unpacked {
            texts.resize(unpacked, 0);
        }
        let mut start = 0;
        for (index, block) in (0..).zip(&segment.blocks) {
            let end = start + block.unpacked;
            segment.unpack(index, &mut self.decompressor, &mut texts[start..end])?;
            self.starts.push(start);
            start = end;
        }
        texts.truncate(unpacked);
        Ok(())
    }

    /// A record of the segment that was unpacked last, read in its texts.
    pub fn record<'t>(
        &self,
        segment: &Segment<'_>,
        entry: &Entry,
        texts: &'t [u8],
    ) -> Result<Record<'t>> {
        let block = entry.block as usize;
        let start = self.starts.get(block).copied().unwrap_or(texts.len());
        let end = self.starts.get(block + 1).copied();
        entry.record(segment.number, &texts[start..end.unwrap_or(texts.len())])
    }
}

/// Unpacks the block an entry lies in, and keeps it for the next entry.
pub struct RecordReader<'s, 'a> {
    segment: &'s Segment<'a>,
    decompressor: Decompressor<'static>,
    unpacked: Vec<u8>,
    block: Option<u32>,
}

impl RecordReader<'_, '_> {
    /// The record's bytes, as they entered the hash chain.
    pub fn bytes(&mut self, entry: &Entry) -> Result<&[u8]> {
        if self.block != Some(entry.block) {
            self.unpack(entry.block)?;
        }
        entry.cut(self.segment.number, &self.unpacked)
    }

    pub fn record(&mut self, entry: &Entry) -> Result<Record<'_>> {
        let number = self.segment.number;
        if self.block != Some(entry.block) {
            self.unpack(entry.block)?;
        }
        entry.record(number, &self.unpacked)
    }

    fn unpack(&mut self, index: u32) -> Result<()> {
        self.block = None;
        self.unpacked.clear();
        let block = self.segment.blocks.get(index as usize);
        self.unpacked
            .reserve(block.map_or(0, |block| block.unpacked));
        self.segment
            .unpack(index, &mut self.decompressor, &mut self.unpacked)?;
        self.block = Some(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Stamp;
    use crate::record::{encode, RecordEvent};

    fn written(streams: u128, events: usize) -> Vec<u8> {
        let raw = [b'x'; 300];
        let mut packer = Packer::new().unwrap();
        let mut writer = SegmentWriter::new(3, 77, &mut packer);
        for stream in 1..=streams {
            let all = vec![
                RecordEvent {
                    stamp: Stamp {
                        fingerprint: stream,
                        timestamp_us: 5,
                        received_at_us: 6
                    },
                    defaulted: false,
                    raw: &raw,
                    computed: None,
                };
                events
            ];
            writer
                .record(
                    stream,
                    &Head::default(),
                    (5, 5),
                    u32::try_from(events).unwrap(),
                    |out| encode(out, 9, true, all.iter().copied()),
                )
                .unwrap();
        }
        writer.finish().unwrap()
    }

    fn read_everything(bytes: &[u8]) -> Result<u64> {
        let segment = Segment::open(bytes)?;
        let mut records = segment.records()?;
        for entry in &segment.entries {
            let head = Head::default().next(entry.stream, USAGE_TOPIC, records.bytes(entry)?)?;
            if head != entry.head {
                return corrupt("hash");
            }
            records.record(entry)?;
        }
        Ok(segment.events)
    }

    #[test]
    fn round_trip_over_several_blocks() {
        let bytes = written(40, 10);
        let segment = Segment::open(&bytes).unwrap();
        assert_eq!((segment.number, segment.recorded_at_us), (3, 77));
        assert!(segment.blocks.len() > 1);
        assert_eq!(read_everything(&bytes).unwrap(), 400);
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        let bytes = written(2, 1);
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x10;
            assert!(read_everything(&damaged).is_err(), "byte {index}");
            assert!(read_everything(&bytes[..index]).is_err(), "cut at {index}");
        }
        assert!(read_everything(&[&bytes[..], b"x"].concat()).is_err());
    }
}
