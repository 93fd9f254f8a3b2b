//! Committed events on their way into the windows that count them.

use std::borrow::Cow;
use std::hint::black_box;

use super::{External, Registry, Subscription};
use crate::advance::Arrival;
use crate::error::Result;
use crate::id::Id;
use crate::log::StreamIndex;
use crate::property::Sample;
use crate::window::Window;

/// Events for which memory is read ahead; what they touch fits into the cache of a core.
const AHEAD: usize = 64;
/// Buckets of a window that are read ahead.
const BUCKETS_AHEAD: usize = 4;

/// A committed event that names a subscription.
pub struct Committed<'a> {
    pub external_key: Id,
    pub stream: StreamIndex,
    pub code: Cow<'a, [u8]>,
    pub sample: Sample<'a>,
    pub arrival: Arrival<'a>,
}

impl Registry {
    /// Adds events, in the order of the log, to every window that counts them.
    pub fn fold_all<'a>(&mut self, mut events: impl Iterator<Item = Committed<'a>>) -> Result<()> {
        let mut next = Vec::with_capacity(AHEAD);
        loop {
            next.extend(events.by_ref().take(AHEAD));
            if next.is_empty() {
                return Ok(());
            }
            self.read_ahead(&next);
            for event in next.drain(..) {
                self.fold(&event)?;
            }
        }
    }

    /// Reads what the folds of these events are about to change, level by level.
    ///
    /// Among many customers it is in no cache. Reads of one level wait for memory together; a fold, which has to know the
    /// subscription to find its window, waits for one after the other.
    fn read_ahead(&self, events: &[Committed<'_>]) {
        let mut keys: Vec<Id> = events.iter().map(|event| event.external_key).collect();
        keys.dedup();
        let externals = keys.iter().filter_map(|key| self.externals.get(key));
        let externals: Vec<&External> = externals.collect();
        let subscriptions: Vec<&Subscription> = externals
            .iter()
            .flat_map(|external| {
                black_box(external.streams.first());
                let positions = external.subscriptions.iter();
                positions.map(|&position| &self.subscriptions[position])
            })
            .collect();
        let windows = subscriptions.iter().flat_map(|known| {
            black_box(known.span);
            &known.windows
        });
        let windows: Vec<&Window> = windows.collect();
        for window in windows {
            for bucket in window.buckets.iter().take(BUCKETS_AHEAD) {
                black_box(bucket.count());
            }
        }
    }

    fn fold(&mut self, event: &Committed<'_>) -> Result<()> {
        let external = self.externals.entry(event.external_key).or_default();
        if !external.streams.contains(&event.stream) {
            external.streams.push(event.stream);
        }
        let mut folded = false;
        for &index in &external.subscriptions {
            let known = &mut self.subscriptions[index];
            let before = known.pending.len();
            folded |= known.fold(&event.code, &event.sample, &event.arrival)?;
            if known.pending.len() > before {
                self.pending_count += known.pending.len() - before;
                self.awaiting.insert(index);
            }
        }
        if !folded {
            let at = event.sample.moment.timestamp_us;
            external.unfolded.add(at, at);
        }
        Ok(())
    }
}
