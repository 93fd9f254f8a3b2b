//! Totals of a window from the stored segments.

use std::collections::BTreeMap;

use crate::bucket::{empty_buckets, Bucket};
use crate::core::Core;
use crate::error::{argument, Result};
use crate::event::UsageEvent;
use crate::fingerprint::Fingerprinter;
use crate::id::{Id, IdSet};
use crate::record::RecordEvent;
use crate::registry::Refold;
use crate::segment::Segment;
use crate::window::fold_hits;

impl Core {
    /// Completes a registered window from the log. False: window or subscription changed meanwhile.
    pub fn fold_window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        segments: &[&[u8]],
    ) -> Result<bool> {
        let (refold, needed, streams) = {
            let state = self.lock()?;
            let Some(refold) = state.registry.refold(subscription, bounds)? else {
                return Ok(false);
            };
            let needed = state.log.segments_of(&refold.streams);
            let streams = refold
                .streams
                .iter()
                .map(|&index| state.log.stream_id(index));
            let streams: IdSet = streams.collect();
            (refold, needed, streams)
        };
        let mut given = BTreeMap::new();
        for bytes in segments {
            let segment = Segment::open(bytes)?;
            given.insert(segment.number, segment);
        }
        let mut totals = Totals::new(&self.fingerprinter, &refold, streams);
        for number in needed
            .into_iter()
            .filter(|&number| number <= refold.since_segment)
        {
            match given.get(&number) {
                Some(segment) => totals.fold(segment)?,
                None => return argument(format!("segment {number} is needed and was not given")),
            }
        }
        let older = totals.buckets;
        let mut state = self.lock()?;
        state
            .registry
            .finish_refold(subscription, bounds, &refold, older)
    }
}

struct Totals<'a> {
    fingerprinter: &'a Fingerprinter,
    refold: &'a Refold,
    streams: IdSet,
    buckets: Vec<Bucket>,
}

impl<'a> Totals<'a> {
    fn new(fingerprinter: &'a Fingerprinter, refold: &'a Refold, streams: IdSet) -> Self {
        Self {
            fingerprinter,
            refold,
            streams,
            buckets: empty_buckets(&refold.plan),
        }
    }

    /// Adds the window's events of one segment; segments come in ascending order.
    fn fold(&mut self, segment: &Segment<'_>) -> Result<()> {
        let reach = self.refold.span.reach(&self.refold.plan);
        let mut records = segment.records()?;
        for entry in &segment.entries {
            if !self.streams.contains(&entry.stream)
                || !reach.overlaps((entry.min_us, entry.max_us))
            {
                continue;
            }
            let record = records.record(entry)?;
            for stored in record
                .events()
                .filter(|stored| reach.contains(stored.stamp.timestamp_us))
            {
                let event = stored.event()?;
                let key = event
                    .external_subscription_id
                    .map(|text| self.fingerprinter.external_key(record.org, &text.decode()));
                if key == Some(self.refold.external_key) {
                    self.add(&event, &stored)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, event: &UsageEvent<'_>, stored: &RecordEvent<'_>) -> Result<()> {
        let sample = stored.sample(event);
        let Refold { plan, span, .. } = self.refold;
        let hits = plan.hits(&event.code.decode(), &sample)?;
        fold_hits(&mut self.buckets, span, &hits, sample.moment)?;
        Ok(())
    }
}
