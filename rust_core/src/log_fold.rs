//! Totals of stored usage under any plan, straight from the segments; no registered window is touched.
//!
//! The same events fold into several selections in one pass. Segments come in ascending order, and may be fed
//! over time: a fold goes on where it stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use crate::bucket::{empty_buckets, Bucket};
use crate::error::{argument, CoreError, Result};
use crate::event::FoldedEvent;
use crate::fingerprint::Fingerprinter;
use crate::id::{Id, IdMap, IdSet};
use crate::plan::Plan;
use crate::property::{text, Names, Sample};
use crate::reading::{self, BucketUsage, Period};
use crate::record::Record;
use crate::segment::Segment;
use crate::window::{fold_hits, Span};

/// Segments below which a second thread costs more than it gives.
const SEGMENTS_PER_THREAD: usize = 8;

/// Keeps events whose property has one of the texts, for every name.
#[derive(Clone, Default)]
pub struct Conditions {
    names: Names,
    /// Ascending texts for each of the names.
    accepted: Vec<Box<[Box<[u8]>]>>,
}

impl Conditions {
    pub fn new<'a>(conditions: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let mut only = Self::default();
        for (name, texts) in conditions {
            let mut texts: Vec<Box<[u8]>> =
                texts.iter().map(|text| text.as_bytes().into()).collect();
            texts.sort_unstable();
            let position = only.names.position(name.as_bytes());
            only.accepted.resize(position + 1, Box::default());
            only.accepted[position] = texts.into();
        }
        only
    }

    fn take(&self, sample: &Sample<'_>) -> Result<bool> {
        if self.accepted.is_empty() {
            return Ok(true);
        }
        let values = self.names.read(sample)?;
        Ok(values.iter().zip(&self.accepted).all(|(value, accepted)| {
            value.as_ref().and_then(text).is_some_and(|text| {
                accepted
                    .binary_search_by(|known| (**known).cmp(&text))
                    .is_ok()
            })
        }))
    }
}

/// One subscription's events in one span under one plan, and their totals so far.
#[derive(Clone)]
pub struct Selection {
    external_key: Id,
    plan: Arc<Plan>,
    /// The part of the window that lies in the subscription.
    span: Span,
    reach: Span,
    only: Conditions,
    pub buckets: Vec<Bucket>,
}

impl Selection {
    pub fn new(external_key: Id, plan: Arc<Plan>, span: Span, only: Conditions) -> Self {
        Self {
            external_key,
            buckets: empty_buckets(&plan),
            reach: span.reach(&plan),
            plan,
            span,
            only,
        }
    }

    fn fold(&mut self, code: &[u8], sample: &Sample<'_>) -> Result<()> {
        if self.reach.contains(sample.moment.timestamp_us) && self.only.take(sample)? {
            let hits = self.plan.hits(code, sample)?;
            fold_hits(&mut self.buckets, &self.span, &hits, sample.moment)?;
        }
        Ok(())
    }

    /// Takes the totals of segments that came after its own.
    fn merge(&mut self, later: &Self) -> Result<()> {
        let mut buckets = self.buckets.iter_mut().zip(&later.buckets);
        buckets.try_for_each(|(older, later)| older.merge(later))
    }

    fn restarted(&self) -> Self {
        Self {
            buckets: empty_buckets(&self.plan),
            ..self.clone()
        }
    }
}

/// Several selections folded together.
pub struct LogFold {
    fingerprinter: Fingerprinter,
    selections: Vec<Selection>,
    by_external: IdMap<Vec<usize>>,
    /// Streams that hold usage of the selections; None: any may.
    streams: Option<IdSet>,
    /// Covers the instants of all selections.
    reach: Span,
    /// Number of the newest segment that was fed.
    fed: u64,
}

impl LogFold {
    pub fn new(fingerprinter: Fingerprinter, streams: Option<IdSet>) -> Self {
        Self {
            fingerprinter,
            selections: Vec::new(),
            by_external: HashMap::default(),
            streams,
            reach: Span {
                start: i64::MAX,
                end: i64::MIN,
            },
            fed: 0,
        }
    }

    /// Gives the position of the selection. Only before the first segment.
    pub fn add(&mut self, selection: Selection) -> Result<usize> {
        if self.fed > 0 {
            return Err(CoreError::State(
                "a fold that has begun takes no more selections",
            ));
        }
        let position = self.selections.len();
        self.reach.start = self.reach.start.min(selection.reach.start);
        self.reach.end = self.reach.end.max(selection.reach.end);
        let same = self.by_external.entry(selection.external_key);
        same.or_default().push(position);
        self.selections.push(selection);
        Ok(position)
    }

    /// The totals of one selection.
    pub fn into_buckets(mut self, position: usize) -> Result<Vec<Bucket>> {
        if position >= self.selections.len() {
            return argument("no such selection");
        }
        Ok(self.selections.swap_remove(position).buckets)
    }

    /// Usage of the selections may lie in these streams, too.
    pub fn add_streams(&mut self, streams: impl Iterator<Item = Id>) {
        if let Some(known) = &mut self.streams {
            known.extend(streams);
        }
    }

    /// Number of the newest segment that was fed.
    pub fn fed(&self) -> u64 {
        self.fed
    }

    /// Folds segments; they come in ascending order, after those fed before.
    pub fn feed(&mut self, segments: &[&[u8]]) -> Result<()> {
        segments.iter().try_for_each(|bytes| self.fold(bytes))
    }

    /// As `feed`, on two threads when there are enough segments.
    pub fn feed_in_parallel(&mut self, segments: &[&[u8]]) -> Result<()> {
        if segments.len() < 2 * SEGMENTS_PER_THREAD {
            return self.feed(segments);
        }
        let (first, second) = segments.split_at(segments.len() / 2);
        let mut later = Self {
            fingerprinter: self.fingerprinter.clone(),
            selections: self.selections.iter().map(Selection::restarted).collect(),
            by_external: self.by_external.clone(),
            streams: self.streams.clone(),
            ..*self
        };
        let folded = thread::scope(|scope| {
            let other = scope.spawn(|| later.feed(second));
            self.feed(first)?;
            other
                .join()
                .map_err(|_| CoreError::State("a fold of the log stopped"))?
        });
        folded?;
        if self.fed >= later.fed {
            return argument("segments are fed in ascending order");
        }
        self.fed = later.fed;
        let mut selections = self.selections.iter_mut().zip(&later.selections);
        selections.try_for_each(|(older, later)| older.merge(later))
    }

    fn fold(&mut self, bytes: &[u8]) -> Result<()> {
        let segment = Segment::open(bytes)?;
        if segment.number <= self.fed {
            return argument("segments are fed in ascending order");
        }
        let mut records = segment.records()?;
        for entry in &segment.entries {
            let elsewhere = |streams: &IdSet| !streams.contains(&entry.stream);
            if self.streams.as_ref().is_some_and(elsewhere)
                || !self.reach.overlaps((entry.min_us, entry.max_us))
            {
                continue;
            }
            self.fold_record(&records.record(entry)?)?;
        }
        self.fed = segment.number;
        Ok(())
    }

    fn fold_record(&mut self, record: &Record<'_>) -> Result<()> {
        let mut last: Option<(&[u8], Option<&Vec<usize>>)> = None;
        for stored in record.events() {
            if !self.reach.contains(stored.stamp.timestamp_us) {
                continue;
            }
            let event = FoldedEvent::read(stored.raw)?;
            let Some(external) = event.external_subscription_id else {
                continue;
            };
            // Most records speak of one subscription.
            let wanted = match last {
                Some((raw, wanted)) if raw == external.raw => wanted,
                _ => {
                    let key = self
                        .fingerprinter
                        .external_key(record.org, &external.decode());
                    self.by_external.get(&key)
                }
            };
            last = Some((external.raw, wanted));
            let Some(wanted) = wanted else { continue };
            let sample = stored.sample(event.properties);
            let code = event.code.decode();
            for &position in wanted {
                self.selections[position].fold(&code, &sample)?;
            }
        }
        Ok(())
    }

    /// Totals of one selection, as of a window.
    pub fn read(&self, position: usize, period: Period<'_>) -> Result<Vec<BucketUsage>> {
        match self.selections.get(position) {
            Some(Selection {
                plan,
                span,
                buckets,
                ..
            }) => reading::read(plan, buckets, *span, period),
            None => argument("no such selection"),
        }
    }
}
