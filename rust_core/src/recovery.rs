//! Feeding a stored log, in order: heads, index, fingerprints and windows as if it had been committed here.
//!
//! Segments are folded one after the other, as they were when they were committed; threads read those that follow (`read_back.rs`).
//! An error leaves the core half fed; it must be dropped then.

use crate::chain::{CommitHead, Head};
use crate::core::{Core, State};
use crate::dedup::Position;
use crate::error::{corrupt, CoreError, Result};
use crate::id::Id;
use crate::read_back::{read_all, ReadSegment};
use crate::segment::Segment;
use crate::staging::InCommit;
use crate::wire::Hash;

impl State {
    /// The log is fed while nothing is on its way into it.
    fn assert_idle(&self) -> Result<()> {
        if self.open.event_count() > 0 || !matches!(self.in_commit, InCommit::Nothing) {
            return Err(CoreError::State(
                "events are staged; the log is fed before ingestion starts",
            ));
        }
        Ok(())
    }

    /// The next segment of the log.
    fn enter(&mut self, segment: &ReadSegment) -> Result<()> {
        let number = segment.number;
        if number != self.log.segment_no + 1 {
            return corrupt(format!(
                "usage segment {number} follows segment {}",
                self.log.segment_no
            ));
        }
        self.log.segment_no = number;
        if self.dedup.begin_segment(number)? {
            self.dedup.insert_all(segment.keys.iter().copied())?;
        }
        let records = &segment.records;
        let heads = records.iter().map(|record| (record.stream, record.head));
        let streams = self.log.advance_usage(heads)?;
        for record in records {
            if let Some(received) = record.received {
                let orgs = &mut self.log.orgs;
                orgs.add(record.org, number, record.timestamps, received);
            }
        }
        self.log.usage_events += segment.event_count;
        self.registry.fold_all(segment.committed(&streams))
    }

    fn end_commit(&mut self, commit: CommitHead) -> Result<()> {
        let CommitHead { seq, .. } = commit;
        if seq != self.log.commit.seq + 1 {
            return corrupt(format!(
                "commit {seq} follows commit {}",
                self.log.commit.seq
            ));
        }
        self.log.commit = commit;
        self.dedup.advance(Position {
            commit,
            segment_no: self.log.segment_no,
        })
    }
}

impl Core {
    /// Heads of facts, in log order.
    pub fn apply_facts(&self, entries: impl Iterator<Item = (Id, Head)>) -> Result<()> {
        let mut state = self.lock()?;
        state.assert_idle()?;
        for (stream, head) in entries {
            state.log.advance(stream, head)?;
        }
        Ok(())
    }

    /// One commit's usage.
    pub fn apply_segment(&self, bytes: &[u8]) -> Result<()> {
        let mut state = self.lock()?;
        state.assert_idle()?;
        read_all(&[bytes], &self.fingerprinter, |_, segment| {
            state.enter(segment)
        })
    }

    /// Commits that follow one another and hold usage only.
    pub fn apply_usage(&self, commits: &[(&[u8], CommitHead)]) -> Result<()> {
        let segments: Vec<&[u8]> = commits.iter().map(|(bytes, _)| *bytes).collect();
        let mut state = self.lock()?;
        state.assert_idle()?;
        read_all(&segments, &self.fingerprinter, |position, segment| {
            state.enter(segment)?;
            state.end_commit(commits[position].1)
        })
    }

    /// The end of a commit.
    pub fn apply_commit(&self, seq: u64, hash: Hash) -> Result<()> {
        let mut state = self.lock()?;
        state.assert_idle()?;
        state.end_commit(CommitHead { seq, hash })
    }

    /// One commit's fingerprints, nothing else of it: for an index that stands for less of the log than the rest does.
    pub fn catch_up(&self, commit: CommitHead, segment: Option<&[u8]>) -> Result<()> {
        let segment = segment.map(Segment::open).transpose()?;
        let mut keys = Vec::new();
        if let Some(segment) = &segment {
            let mut records = segment.records()?;
            for entry in &segment.entries {
                keys.extend(records.record(entry)?.dedup_keys());
            }
        }
        let mut state = self.lock()?;
        state.assert_idle()?;
        let mut position = state.dedup.position();
        if let Some(segment) = &segment {
            if !state.dedup.begin_segment(segment.number)? {
                return corrupt("the index holds this usage segment already");
            }
            position.segment_no = segment.number;
        }
        position.commit = commit;
        state.dedup.insert_all(keys.into_iter())?;
        state.dedup.advance(position)
    }
}
