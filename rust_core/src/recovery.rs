//! Feeding a stored log, in order: heads, index, fingerprints and windows as if it had been committed here.
//!
//! Several segments at once are unpacked and parsed by as many threads as there are cores, then folded customer by
//! customer: what an event touches lies still in the cache when the customer's next one comes. The totals are the same,
//! because no window takes events of two external ids. An error leaves the core half fed; it must be dropped then.

use std::borrow::Cow;
use std::thread;

use crate::advance::Arrival;
use crate::chain::{CommitHead, Head};
use crate::core::{Core, State};
use crate::dedup::Position;
use crate::error::{corrupt, CoreError, Result};
use crate::event::FoldedEvent;
use crate::fingerprint::Fingerprinter;
use crate::id::Id;
use crate::log::StreamIndex;
use crate::property::Sample;
use crate::record::Record;
use crate::registry::Committed;
use crate::segment::{Segment, Unpacked};
use crate::staging::InCommit;
use crate::wire::Hash;

/// A stored event that names a subscription.
struct Stored<'a> {
    external_key: Id,
    /// Position of its record in the segment.
    entry: usize,
    code: Cow<'a, [u8]>,
    sample: Sample<'a>,
    arrival: Arrival<'a>,
}

struct Parsed<'a> {
    records: Vec<Record<'a>>,
    events: Vec<Stored<'a>>,
}

impl<'a> Parsed<'a> {
    fn of(unpacked: &'a Unpacked, fingerprinter: &Fingerprinter) -> Result<Self> {
        let mut parsed = Self {
            records: Vec::with_capacity(unpacked.entries.len()),
            events: Vec::new(),
        };
        let mut first = 0;
        for (position, entry) in unpacked.entries.iter().enumerate() {
            let record = unpacked.record(entry)?;
            if record.attributed {
                parsed.take(&record, position, (unpacked.number, first), fingerprinter)?;
            }
            parsed.records.push(record);
            first += entry.events;
        }
        Ok(parsed)
    }

    /// first: number of the record's first event among those of the segment.
    fn take(
        &mut self,
        record: &Record<'a>,
        entry: usize,
        (segment, first): (u64, u32),
        fingerprinter: &Fingerprinter,
    ) -> Result<()> {
        let mut last: Option<(&[u8], Id)> = None;
        for (number, stored) in (first..).zip(record.events()) {
            let event = FoldedEvent::read(stored.raw)?;
            let Some(external) = event.external_subscription_id else {
                return corrupt("an attributed usage event names no subscription");
            };
            let external_key = match last {
                Some((raw, key)) if raw == external.raw => key,
                _ => fingerprinter.external_key(record.org, &external.decode()),
            };
            last = Some((external.raw, external_key));
            self.events.push(Stored {
                external_key,
                entry,
                code: event.code.decode(),
                sample: stored.sample(event.properties),
                arrival: Arrival {
                    segment,
                    event: number,
                    raw: stored.raw,
                },
            });
        }
        Ok(())
    }
}

/// Does something with each item, spread over the cores; the results are in the order of the items.
fn each<'i, I: Sync, O: Send>(
    items: &'i [I],
    work: impl Fn(&'i I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(1);
    let run = |items: &'i [I]| items.iter().map(&work).collect::<Result<Vec<O>>>();
    if items.len() <= 1 {
        return run(items);
    }
    let parts = thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(|| run(items)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = |_| Err(CoreError::State("a thread that reads the log panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        joined.collect::<Result<Vec<_>>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

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

    /// Everything of a segment but its events; gives the streams of its records.
    fn enter(&mut self, unpacked: &Unpacked, parsed: &Parsed<'_>) -> Result<Vec<StreamIndex>> {
        let number = unpacked.number;
        if number != self.log.segment_no + 1 {
            return corrupt(format!(
                "usage segment {number} follows segment {}",
                self.log.segment_no
            ));
        }
        self.log.segment_no = number;
        let is_new = self.dedup.begin_segment(number)?;
        let heads = unpacked.entries.iter();
        let heads = heads.map(|entry| (entry.stream, entry.head));
        let streams = self.log.advance_usage(heads)?;
        for (entry, record) in unpacked.entries.iter().zip(&parsed.records) {
            self.log.usage_events += record.count as u64;
            if is_new {
                self.dedup.insert_all(record.dedup_keys())?;
            }
            if let Some(received) = record.received_span() {
                let timestamps = (entry.min_us, entry.max_us);
                let orgs = &mut self.log.orgs;
                orgs.add(record.org, number, timestamps, received);
            }
        }
        Ok(streams)
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
        self.apply(&[(bytes, None)])
    }

    /// Commits that follow one another and hold usage only.
    pub fn apply_usage(&self, commits: &[(&[u8], CommitHead)]) -> Result<()> {
        let ended = commits.iter().map(|&(bytes, end)| (bytes, Some(end)));
        self.apply(&ended.collect::<Vec<_>>())
    }

    fn apply(&self, segments: &[(&[u8], Option<CommitHead>)]) -> Result<()> {
        let unpacked = each(segments, |(bytes, _)| Segment::open(bytes)?.unpack())?;
        let parsed = each(&unpacked, |each| Parsed::of(each, &self.fingerprinter))?;
        let mut guard = self.lock()?;
        let state = &mut *guard;
        state.assert_idle()?;
        let mut events = Vec::with_capacity(parsed.iter().map(|each| each.events.len()).sum());
        for ((unpacked, parsed), (_, end)) in unpacked.iter().zip(&parsed).zip(segments) {
            let streams = state.enter(unpacked, parsed)?;
            let of_it = parsed.events.iter();
            events.extend(of_it.map(|event| (event.external_key, streams[event.entry], event)));
            if let Some(end) = end {
                state.end_commit(*end)?;
            }
        }
        // Stable: events of one external id stay in the order of the log.
        events.sort_by_key(|&(external_key, ..)| external_key);
        state.registry.fold_all(
            events
                .into_iter()
                .map(|(external_key, stream, event)| Committed {
                    external_key,
                    stream,
                    code: Cow::Borrowed(&event.code),
                    sample: event.sample,
                    arrival: event.arrival,
                }),
        )
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
