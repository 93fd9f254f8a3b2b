//! Feeding a stored log, in order: heads, index, fingerprints and windows as if it had been committed here.
//!
//! An error leaves the core half fed; it must be dropped then.

use crate::advance::Arrival;
use crate::chain::{CommitHead, Head};
use crate::core::{Core, State};
use crate::dedup::Position;
use crate::error::{corrupt, CoreError, Result};
use crate::fingerprint::Fingerprinter;
use crate::id::Id;
use crate::log::StreamIndex;
use crate::record::Record;
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

    /// first: number of its first event among those of the segment.
    fn apply_record(
        &mut self,
        fingerprinter: &Fingerprinter,
        stream: StreamIndex,
        record: &Record<'_>,
        first: u32,
    ) -> Result<()> {
        self.log.usage_events += record.count as u64;
        if !record.attributed {
            return Ok(());
        }
        let mut last: Option<(&[u8], Id)> = None;
        for (number, stored) in (first..).zip(record.events()) {
            let event = stored.event()?;
            let Some(external) = event.external_subscription_id else {
                return corrupt("an attributed usage event names no subscription");
            };
            let key = match last {
                Some((raw, key)) if raw == external.raw => key,
                _ => fingerprinter.external_key(record.org, &external.decode()),
            };
            last = Some((external.raw, key));
            let code = event.code.decode();
            let arrival = Arrival {
                segment: self.log.segment_no,
                event: number,
                raw: stored.raw,
            };
            self.registry.fold(
                key,
                stream,
                &code,
                &stored.sample(event.properties),
                &arrival,
            )?;
        }
        Ok(())
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
        let segment = Segment::open(bytes)?;
        let mut guard = self.lock()?;
        let state = &mut *guard;
        state.assert_idle()?;
        if segment.number != state.log.segment_no + 1 {
            return corrupt(format!(
                "usage segment {} follows segment {}",
                segment.number, state.log.segment_no
            ));
        }
        state.log.segment_no = segment.number;
        let is_new = state.dedup.begin_segment(segment.number)?;
        let mut records = segment.records()?;
        let mut first = 0;
        for entry in &segment.entries {
            let stream = state.log.advance(entry.stream, entry.head)?;
            state.log.add_segment(stream);
            let record = records.record(entry)?;
            if is_new {
                state.dedup.insert_all(record.dedup_keys())?;
            }
            if let Some(received) = record.received_span() {
                let timestamps = (entry.min_us, entry.max_us);
                state
                    .log
                    .orgs
                    .add(record.org, segment.number, timestamps, received);
            }
            state.apply_record(&self.fingerprinter, stream, &record, first)?;
            first += entry.events;
        }
        Ok(())
    }

    /// The end of a commit.
    pub fn apply_commit(&self, seq: u64, hash: Hash) -> Result<()> {
        let mut state = self.lock()?;
        state.assert_idle()?;
        if seq != state.log.commit.seq + 1 {
            return corrupt(format!(
                "commit {seq} follows commit {}",
                state.log.commit.seq
            ));
        }
        state.log.commit = CommitHead { seq, hash };
        let position = Position {
            commit: state.log.commit,
            segment_no: state.log.segment_no,
        };
        state.dedup.advance(position)
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
