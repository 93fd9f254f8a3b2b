//! Where the committed log stands: heads of its chains, and which segments hold usage of which stream.

use crate::chain::{CommitHead, Head};
use crate::error::{corrupt, CoreError, Result};
use crate::id::{uuid_text, Id, IdMap};
use crate::org_index::OrgIndex;
use crate::wire::{put_count, put_id, put_u64, Reader};

/// Ascending segment numbers as runs (first, last): a busy customer is in every segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentRuns(Vec<(u64, u64)>);

impl SegmentRuns {
    /// Adds a number that is not less than those added before.
    pub fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last == number => {}
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|&(_, last)| last)
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_count(out, self.0.len())?;
        for &(first, last) in &self.0 {
            put_u64(out, first);
            put_u64(out, last);
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let runs: Result<Vec<_>> = (0..reader.count()?)
            .map(|_| Ok((reader.u64()?, reader.u64()?)))
            .collect();
        runs.map(Self)
    }
}

/// Position of a stream in [`Log`]; shorter than its id.
pub type StreamIndex = u32;

struct Stream {
    id: Id,
    head: Head,
    segments: SegmentRuns,
}

#[derive(Default)]
pub struct Log {
    pub commit: CommitHead,
    /// Number of the newest segment, which is how many there are.
    pub segment_no: u64,
    pub usage_events: u64,
    pub orgs: OrgIndex,
    streams: Vec<Stream>,
    by_id: IdMap<StreamIndex>,
}

impl Log {
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    pub fn head(&self, stream: Id) -> Head {
        match self.by_id.get(&stream) {
            Some(&index) => self.streams[index as usize].head,
            None => Head::default(),
        }
    }

    fn index_of(&mut self, stream: Id) -> Result<StreamIndex> {
        if let Some(&index) = self.by_id.get(&stream) {
            return Ok(index);
        }
        let index = StreamIndex::try_from(self.streams.len())
            .map_err(|_| CoreError::Overflow("the number of streams"))?;
        self.streams.push(Stream {
            id: stream,
            head: Head::default(),
            segments: SegmentRuns::default(),
        });
        self.by_id.insert(stream, index);
        Ok(index)
    }

    /// A new entry of a stream was committed; its version must be the next one.
    pub fn advance(&mut self, stream: Id, head: Head) -> Result<StreamIndex> {
        let index = self.index_of(stream)?;
        self.advance_at(index, head)?;
        Ok(index)
    }

    /// The newest segment holds a record of each of these streams, with these heads.
    pub fn advance_usage(
        &mut self,
        records: impl Iterator<Item = (Id, Head)> + Clone,
    ) -> Result<Vec<StreamIndex>> {
        // All are looked up first: so they wait for memory together.
        let streams = records.clone().map(|(stream, _)| self.index_of(stream));
        let streams = streams.collect::<Result<Vec<_>>>()?;
        for (&stream, (_, head)) in streams.iter().zip(records) {
            self.advance_at(stream, head)?;
            self.add_segment(stream);
        }
        Ok(streams)
    }

    fn advance_at(&mut self, index: StreamIndex, head: Head) -> Result<()> {
        let Stream {
            id, head: known, ..
        } = &mut self.streams[index as usize];
        if known.version.checked_add(1) != Some(head.version) {
            return corrupt(format!(
                "stream {}: version {} follows version {}",
                uuid_text(*id),
                head.version,
                known.version
            ));
        }
        *known = head;
        Ok(())
    }

    /// The newest segment holds usage of the stream.
    fn add_segment(&mut self, stream: StreamIndex) {
        let number = self.segment_no;
        self.streams[stream as usize].segments.push(number);
    }

    /// Ascending numbers of the segments that hold usage of any of the streams.
    pub fn segments_of(&self, streams: &[StreamIndex]) -> Vec<u64> {
        let mut numbers: Vec<u64> = streams
            .iter()
            .flat_map(|&index| self.streams[index as usize].segments.numbers())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    pub fn stream_id(&self, index: StreamIndex) -> Id {
        self.streams[index as usize].id
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.commit.seq);
        out.extend_from_slice(&self.commit.hash);
        put_u64(out, self.segment_no);
        put_u64(out, self.usage_events);
        put_count(out, self.streams.len())?;
        for stream in &self.streams {
            put_id(out, stream.id);
            put_u64(out, stream.head.version);
            out.extend_from_slice(&stream.head.hash);
            stream.segments.encode(out)?;
        }
        self.orgs.encode(out)
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut log = Self {
            commit: CommitHead {
                seq: reader.u64()?,
                hash: reader.hash()?,
            },
            segment_no: reader.u64()?,
            usage_events: reader.u64()?,
            ..Self::default()
        };
        for _ in 0..reader.count()? {
            let index = log.index_of(reader.id()?)? as usize;
            log.streams[index].head = Head {
                version: reader.u64()?,
                hash: reader.hash()?,
            };
            log.streams[index].segments = SegmentRuns::decode(reader)?;
        }
        log.orgs = OrgIndex::decode(reader)?;
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_gaps() {
        let mut log = Log::default();
        let head = |version| Head {
            version,
            hash: [1; 32],
        };
        assert!(log.advance(7, head(1)).is_ok());
        assert!(log.advance(7, head(3)).is_err());
        assert!(log.advance(7, head(1)).is_err());
        assert!(log.advance(7, head(2)).is_ok());
        assert_eq!(log.head(7).version, 2);
        assert_eq!(log.head(8), Head::default());
    }

    #[test]
    fn segments_of_several_streams_are_merged() {
        let mut log = Log::default();
        let streams = [1, 2].map(|id| log.index_of(id).unwrap());
        for (number, holders) in [(1, &streams[..]), (2, &streams[..1]), (5, &streams[1..])] {
            log.segment_no = number;
            for &stream in holders {
                log.add_segment(stream);
                log.add_segment(stream);
            }
        }
        assert_eq!(log.segments_of(&streams), [1, 2, 5]);
        assert_eq!(log.streams[0].segments.0, [(1, 2)]);
    }
}
