//! Which segments hold usage of which organization, and of what time.
//!
//! Segments of an organization are kept in chunks with the spans of their events' timestamps and reception times: 64 segments
//! that follow one another take about as many bytes, and a question about an hour reads no more than the chunks that touch it.

use crate::error::Result;
use crate::id::{Id, IdMap};
use crate::log::SegmentRuns;
use crate::wire::{put_count, put_i64, put_id, put_u32, Reader};

/// Segments of a chunk at most.
const CHUNK_SEGMENTS: u32 = 64;

/// First and last instant, both inclusive, in µs.
pub type SpanUs = (i64, i64);

/// All of time.
pub const ALWAYS: SpanUs = (i64::MIN, i64::MAX);

fn widen(span: &mut SpanUs, other: SpanUs) {
    *span = (span.0.min(other.0), span.1.max(other.1));
}

fn touches(span: SpanUs, other: SpanUs) -> bool {
    span.0 <= other.1 && other.0 <= span.1
}

struct Chunk {
    segments: SegmentRuns,
    count: u32,
    timestamps: SpanUs,
    received: SpanUs,
}

#[derive(Default)]
pub struct OrgIndex(IdMap<Vec<Chunk>>);

impl OrgIndex {
    /// The newest segment holds usage of the organization with these spans; it may be told of one segment several times.
    pub fn add(&mut self, org: Id, segment: u64, timestamps: SpanUs, received: SpanUs) {
        let chunks = self.0.entry(org).or_default();
        if let Some(chunk) = chunks.last_mut() {
            let known = chunk.segments.last() == Some(segment);
            if known || chunk.count < CHUNK_SEGMENTS {
                chunk.segments.push(segment);
                chunk.count += u32::from(!known);
                widen(&mut chunk.timestamps, timestamps);
                widen(&mut chunk.received, received);
                return;
            }
        }
        let mut segments = SegmentRuns::default();
        segments.push(segment);
        chunks.push(Chunk {
            segments,
            count: 1,
            timestamps,
            received,
        });
    }

    /// Ascending numbers of the segments that may hold events of the organization in both spans.
    pub fn segments(&self, org: Id, timestamps: SpanUs, received: SpanUs) -> Vec<u64> {
        let chunks = self.0.get(&org).map_or(&[][..], Vec::as_slice);
        chunks
            .iter()
            .filter(|chunk| {
                touches(chunk.timestamps, timestamps) && touches(chunk.received, received)
            })
            .flat_map(|chunk| chunk.segments.numbers())
            .collect()
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_count(out, self.0.len())?;
        for (org, chunks) in &self.0 {
            put_id(out, *org);
            put_count(out, chunks.len())?;
            for chunk in chunks {
                put_u32(out, chunk.count);
                for (first, last) in [chunk.timestamps, chunk.received] {
                    put_i64(out, first);
                    put_i64(out, last);
                }
                chunk.segments.encode(out)?;
            }
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut index = Self::default();
        for _ in 0..reader.count()? {
            let chunks = index.0.entry(reader.id()?).or_default();
            for _ in 0..reader.count()? {
                chunks.push(Chunk {
                    count: reader.u32()?,
                    timestamps: (reader.i64()?, reader.i64()?),
                    received: (reader.i64()?, reader.i64()?),
                    segments: SegmentRuns::decode(reader)?,
                });
            }
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segment n of organization 1 + n % 2 holds events of instant n, received at 1000 + n.
    fn filled(segments: i64) -> OrgIndex {
        let mut index = OrgIndex::default();
        for number in 1..=segments {
            let segment = number.unsigned_abs();
            let received = (1000 + number, 1000 + number);
            let org = 1 + Id::from(segment % 2);
            index.add(org, segment, (number, number), received);
            index.add(org, segment, (number, number), received);
        }
        index
    }

    #[test]
    fn an_organization_has_its_own_segments_in_order() {
        let index = filled(1000);
        let even: Vec<u64> = (2..=1000).step_by(2).collect();
        assert_eq!(index.segments(1, ALWAYS, ALWAYS), even);
        assert_eq!(index.segments(3, ALWAYS, ALWAYS), [0; 0]);
        assert_eq!(index.0[&1].len(), 8);
    }

    #[test]
    fn a_span_leaves_out_most_and_misses_nothing() {
        let index = filled(1000);
        for at in [1_i64, 63, 64, 65, 500, 999, 1000] {
            let org = 1 + Id::from(at.unsigned_abs() % 2);
            let by_timestamp = index.segments(org, (at, at), ALWAYS);
            assert!(by_timestamp.contains(&at.unsigned_abs()), "{at}");
            assert!(by_timestamp.len() <= CHUNK_SEGMENTS as usize);
            assert_eq!(
                index.segments(org, ALWAYS, (1000 + at, 1000 + at)),
                by_timestamp
            );
        }
        assert_eq!(index.segments(1, (1001, 2000), ALWAYS), [0; 0]);
        assert_eq!(index.segments(1, ALWAYS, (0, 1000)), [0; 0]);
    }

    #[test]
    fn round_trip() {
        let index = filled(300);
        let mut bytes = Vec::new();
        index.encode(&mut bytes).unwrap();
        let mut reader = Reader::new(&bytes, "an index");
        let mut read = OrgIndex::decode(&mut reader).unwrap();
        reader.finish().unwrap();
        for org in 1..=2 {
            let spans = ((10, 40), ALWAYS);
            assert_eq!(
                read.segments(org, spans.0, spans.1),
                index.segments(org, spans.0, spans.1)
            );
        }
        read.add(1, 302, (5, 5), (6, 6));
        assert_eq!(read.segments(1, ALWAYS, (6, 6)).last(), Some(&302));
    }
}
