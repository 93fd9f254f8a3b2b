//! Refused repetitions: whether they say the same as the event that was accepted, looked up when nobody waits.
//!
//! The way in only keeps the text of what it refused. A background task takes what is kept, reads the originals from the log,
//! newest segments first, and compares. What does not fit into the bounds is counted as not compared.

use crate::core::{Core, State};
use crate::dedup::Duplicates;
use crate::error::Result;
use crate::event::UsageEvent;
use crate::id::{Id, IdMap, IdSet};
use crate::json;
use crate::payload;
use crate::segment::Segment;
use crate::staging::{Accepted, InCommit};

/// Repetitions that may wait for their comparison: so many, and so many bytes of text.
const WAITING_MAX: usize = 1_000;
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Segments one comparison reads; a client repeats soon after, if it does.
pub const SEGMENTS_READ_MAX: usize = 256;
/// Differences that may wait for being reported.
const DIFFERENT_MAX: usize = 100;

/// A refused event.
pub struct Repetition {
    org: Id,
    external_key: Id,
    fingerprint: Id,
    raw: Box<[u8]>,
    /// The batch whose commit holds the original, if that was not stored yet.
    batch: u64,
}

/// A repetition that says something else than its original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub org: Id,
    pub external_subscription_id: String,
    pub transaction_id: String,
}

/// How many repetitions since the start turned out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub same: u64,
    pub different: u64,
    pub not_compared: u64,
}

#[derive(Default)]
pub struct Repetitions {
    pub figures: Figures,
    waiting: Vec<Repetition>,
    bytes: usize,
    different: Vec<Difference>,
}

impl Repetitions {
    /// Takes note of what was refused. A repetition of an event in the same body is compared with that one at once.
    pub fn note(&mut self, org: Id, accepted: &[Accepted<'_>], duplicates: &Duplicates) {
        let mut first: IdMap<usize> = IdMap::default();
        for (index, event) in accepted.iter().enumerate() {
            first.entry(event.stamp.fingerprint).or_insert(index);
        }
        let batch = duplicates.wait_for.last().copied().unwrap_or(0);
        for &index in &duplicates.indexes {
            let refused = &accepted[index];
            let original = &accepted[first[&refused.stamp.fingerprint]];
            if std::ptr::eq(original, refused) {
                self.keep(org, refused, batch);
            } else {
                let same = payload::same(&original.event, &refused.event);
                self.count(org, &refused.event, same);
            }
        }
    }

    fn keep(&mut self, org: Id, refused: &Accepted<'_>, batch: u64) {
        let raw = refused.event.raw;
        let fits = self.waiting.len() < WAITING_MAX && self.bytes + raw.len() <= WAITING_BYTES_MAX;
        let Some(external_key) = refused.external_key.filter(|_| fits) else {
            self.figures.not_compared += 1;
            return;
        };
        self.bytes += raw.len();
        self.waiting.push(Repetition {
            org,
            external_key,
            fingerprint: refused.stamp.fingerprint,
            raw: raw.into(),
            batch,
        });
    }

    fn count(&mut self, org: Id, refused: &UsageEvent<'_>, same: bool) {
        if same {
            self.figures.same += 1;
            return;
        }
        self.figures.different += 1;
        if self.different.len() < DIFFERENT_MAX {
            let text = |text: Option<json::Text<'_>>| {
                let bytes = text.map(|text| text.decode()).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            };
            self.different.push(Difference {
                org,
                external_subscription_id: text(refused.external_subscription_id),
                transaction_id: text(Some(refused.transaction_id)),
            });
        }
    }

    /// What waits and has its original in a batch before `batch`.
    fn take(&mut self, batch: u64) -> Vec<Repetition> {
        let waiting = std::mem::take(&mut self.waiting);
        let (ready, waiting) = waiting.into_iter().partition(|each| each.batch < batch);
        self.waiting = waiting;
        self.bytes = self.waiting.iter().map(|each| each.raw.len()).sum();
        ready
    }
}

impl State {
    fn oldest_batch_in_flight(&self) -> u64 {
        match self.in_commit {
            InCommit::Nothing => self.open.number,
            _ => self.open.number - 1,
        }
    }
}

impl Core {
    /// The repetitions that can be compared now, with the segments to read for it; None: there are none.
    pub fn take_repetitions(&self) -> Result<Option<Comparison>> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let batch = state.oldest_batch_in_flight();
        let repetitions = state.repetitions.take(batch);
        if repetitions.is_empty() {
            return Ok(None);
        }
        let keys: IdSet = repetitions.iter().map(|each| each.external_key).collect();
        let streams: Vec<_> = keys
            .iter()
            .flat_map(|&key| state.registry.streams_of(key).iter().copied())
            .collect();
        let mut segments = state.log.segments_of(&streams);
        segments.reverse();
        segments.truncate(SEGMENTS_READ_MAX);
        Ok(Some(Comparison {
            streams: streams
                .iter()
                .map(|&index| state.log.stream_id(index))
                .collect(),
            segments,
            repetitions,
            outcomes: Vec::new(),
        }))
    }

    /// Counts what a comparison found; gives the differences found since the last call.
    pub fn settle_repetitions(&self, comparison: &Comparison) -> Result<Vec<Difference>> {
        let mut state = self.lock()?;
        let repetitions = &mut state.repetitions;
        for (repetition, same) in &comparison.outcomes {
            let event = UsageEvent::from_stored(&repetition.raw, None)?;
            repetitions.count(repetition.org, &event, *same);
        }
        repetitions.figures.not_compared += comparison.repetitions.len() as u64;
        Ok(std::mem::take(&mut repetitions.different))
    }

    /// Differences that were found on the way in.
    pub fn take_differences(&self) -> Result<Vec<Difference>> {
        Ok(std::mem::take(&mut self.lock()?.repetitions.different))
    }
}

/// Repetitions on their way past the log; a core made it, and is told the outcome.
pub struct Comparison {
    /// Numbers of the segments to feed, newest first.
    pub segments: Vec<u64>,
    streams: IdSet,
    repetitions: Vec<Repetition>,
    outcomes: Vec<(Repetition, bool)>,
}

impl Comparison {
    /// Looks for originals in one segment; true: there is nothing left to look for.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        let segment = Segment::open(bytes)?;
        let mut records = segment.records()?;
        for entry in &segment.entries {
            if !self.streams.contains(&entry.stream) {
                continue;
            }
            let wanted: IdSet = self
                .repetitions
                .iter()
                .map(|each| each.fingerprint)
                .collect();
            for stored in records.record(entry)?.events() {
                if wanted.contains(&stored.stamp.fingerprint) {
                    self.compare(&stored.event()?, stored.stamp.fingerprint)?;
                }
            }
        }
        Ok(self.repetitions.is_empty())
    }

    fn compare(&mut self, original: &UsageEvent<'_>, fingerprint: Id) -> Result<()> {
        let repetitions = std::mem::take(&mut self.repetitions);
        for repetition in repetitions {
            if repetition.fingerprint == fingerprint {
                let refused = UsageEvent::from_stored(&repetition.raw, None)?;
                let same = payload::same(original, &refused);
                drop(refused);
                self.outcomes.push((repetition, same));
            } else {
                self.repetitions.push(repetition);
            }
        }
        Ok(())
    }
}
