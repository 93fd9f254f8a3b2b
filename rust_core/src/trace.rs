//! What pending usage changed, found in the log: for events that no complete window held when they were committed.

use std::collections::{BTreeMap, BTreeSet};

use crate::advance::{Arrival, Change, Pending, Totals};
use crate::bucket::{empty_buckets, Bucket};
use crate::core::Core;
use crate::error::{argument, Result};
use crate::event::UsageEvent;
use crate::fingerprint::Fingerprinter;
use crate::id::{Id, IdSet};
use crate::plan::Hit;
use crate::property::{Moment, Sample};
use crate::registry::Tracing;
use crate::segment::Segment;
use crate::window::fold_hits;

impl Core {
    /// Tells the subscription's pending events of a window what they changed in it.
    ///
    /// segments: those that hold usage of the subscription; pending events of newer ones stay unknown.
    pub fn trace_window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        segments: &[&[u8]],
    ) -> Result<()> {
        let mut given = BTreeMap::new();
        for bytes in segments {
            let segment = Segment::open(bytes)?;
            given.insert(segment.number, segment);
        }
        let newest = given.keys().next_back().copied().unwrap_or(0);
        let (tracing, needed, streams) = {
            let state = self.lock()?;
            let mut tracing = state.registry.tracing(subscription, bounds)?;
            // What came since the segments were read is asked for again.
            tracing.wanted.retain(|&(segment, _)| segment <= newest);
            let Some(&(last, _)) = tracing.wanted.last() else {
                return Ok(());
            };
            let needed = state.log.segments_of(&tracing.streams);
            let streams: IdSet = tracing
                .streams
                .iter()
                .map(|&index| state.log.stream_id(index))
                .collect();
            let needed: Vec<u64> = needed
                .into_iter()
                .filter(|&number| number <= last)
                .collect();
            (tracing, needed, streams)
        };
        let mut tracer = Tracer::new(&self.fingerprinter, &tracing, bounds, streams);
        for number in needed {
            match given.get(&number) {
                Some(segment) => tracer.fold(segment)?,
                None => return argument(format!("segment {number} is needed and was not given")),
            }
        }
        let found = tracer.found;
        let mut state = self.lock()?;
        state.registry.put_changes(subscription, &tracing, &found)
    }
}

impl Core {
    /// What an event (a JSON object as sent) would change in a window; None unless the window is complete.
    pub fn probe_window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        event: &[u8],
        timestamp_us: i64,
    ) -> Result<Option<Vec<Pending>>> {
        let parsed = UsageEvent::from_stored(event, None)?;
        let sample = Sample {
            raw: event,
            moment: Moment {
                timestamp_us,
                received_at_us: timestamp_us,
            },
            properties: parsed.properties,
            computed: None,
        };
        let state = self.lock()?;
        let arrival = Arrival {
            segment: state.log.segment_no + 1,
            event: 0,
            raw: event,
        };
        let code = parsed.code.decode();
        state
            .registry
            .probe(subscription, bounds, &code, &sample, &arrival)
    }
}

struct Tracer<'a> {
    fingerprinter: &'a Fingerprinter,
    tracing: &'a Tracing,
    bounds: (i64, i64),
    streams: IdSet,
    wanted: BTreeSet<(u64, u32)>,
    buckets: Vec<Bucket>,
    /// By event and charge.
    found: BTreeMap<(u64, u32, Id), Change>,
}

impl<'a> Tracer<'a> {
    fn new(
        fingerprinter: &'a Fingerprinter,
        tracing: &'a Tracing,
        bounds: (i64, i64),
        streams: IdSet,
    ) -> Self {
        Self {
            fingerprinter,
            tracing,
            bounds,
            streams,
            wanted: tracing.wanted.iter().copied().collect(),
            buckets: empty_buckets(&tracing.plan),
            found: BTreeMap::new(),
        }
    }

    /// Adds the events of one segment, in the order in which they were committed.
    fn fold(&mut self, segment: &Segment<'_>) -> Result<()> {
        let reach = self.tracing.span.reach(&self.tracing.plan);
        let mut records = segment.records()?;
        let mut first = 0;
        for entry in &segment.entries {
            let base = first;
            first += entry.events;
            if !self.streams.contains(&entry.stream)
                || !reach.overlaps((entry.min_us, entry.max_us))
            {
                continue;
            }
            let record = records.record(entry)?;
            for (number, stored) in (base..).zip(record.events()) {
                if !reach.contains(stored.stamp.timestamp_us) {
                    continue;
                }
                let event = stored.event()?;
                let key = event
                    .external_subscription_id
                    .map(|text| self.fingerprinter.external_key(record.org, &text.decode()));
                if key == Some(self.tracing.external_key) {
                    let code = event.code.decode();
                    let hits = self
                        .tracing
                        .plan
                        .hits(&code, &stored.sample(event.properties))?;
                    self.add((segment.number, number), &hits, stored.stamp.moment())?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, place: (u64, u32), hits: &[Hit<'_>], moment: Moment) -> Result<()> {
        let span = &self.tracing.span;
        if !self.wanted.contains(&place) {
            fold_hits(&mut self.buckets, span, hits, moment)?;
            return Ok(());
        }
        let before = Totals::of(&self.buckets, hits)?;
        fold_hits(&mut self.buckets, span, hits, moment)?;
        let changes = before.changes(&self.buckets, hits, self.bounds)?;
        let billed = hits.iter().filter(|hit| hit.billed_in_advance);
        for (hit, change) in billed.zip(changes) {
            let (charge, _, _) = self.tracing.plan.bucket_name(hit)?;
            self.found.insert((place.0, place.1, charge), change);
        }
        Ok(())
    }
}
