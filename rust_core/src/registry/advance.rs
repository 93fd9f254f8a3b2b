//! Pending usage of the registry: what waits to be billed, what it changed, and what it would change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Registry;
use crate::advance::{foreseen, records, Arrival, Change, Pending, Place};
use crate::error::Result;
use crate::id::Id;
use crate::log::StreamIndex;
use crate::plan::Plan;
use crate::property::Sample;
use crate::window::Span;

/// What a search in the log for the changes of pending events has to know.
pub struct Tracing {
    pub external_key: Id,
    pub plan: Arc<Plan>,
    pub span: Span,
    pub streams: Vec<StreamIndex>,
    /// Segment and number of each event that is asked for, ascending.
    pub wanted: Vec<(u64, u32)>,
}

impl Registry {
    /// Subscriptions with usage that waits to be billed, at most `limit` of them.
    pub fn pending_subscriptions(&self, limit: usize) -> Vec<Id> {
        let waiting = self.awaiting.iter().take(limit);
        waiting
            .map(|&index| self.subscriptions[index].spec.id)
            .collect()
    }

    /// The first `limit` records of a subscription after a place, in the order of billing.
    pub fn pending(
        &self,
        subscription: Id,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Pending>> {
        let pending = &self.subscriptions[self.index_of(subscription)?].pending;
        let later = pending
            .iter()
            .filter(|record| after.is_none_or(|after| record.place > after));
        Ok(later.take(limit).cloned().collect())
    }

    /// The subscription is billed up to and including a place.
    pub fn drop_pending(&mut self, subscription: Id, until: Place) -> Result<()> {
        let index = self.index_of(subscription)?;
        let pending = &mut self.subscriptions[index].pending;
        let before = pending.len();
        while pending.front().is_some_and(|record| record.place <= until) {
            pending.pop_front();
        }
        self.pending_count -= before - pending.len();
        if pending.is_empty() {
            self.awaiting.remove(&index);
        }
        Ok(())
    }

    /// The events whose changes in a window are not known yet.
    pub fn tracing(&self, subscription: Id, bounds: (i64, i64)) -> Result<Tracing> {
        let known = &self.subscriptions[self.index_of(subscription)?];
        let span = Span::new(bounds.0, bounds.1).intersection(&known.span);
        let unknown = known.pending.iter().filter(|record| {
            let traced = record.change.as_ref();
            span.contains(record.timestamp_us)
                && traced.is_none_or(|change| change.bounds != bounds)
        });
        let mut wanted: Vec<(u64, u32)> = unknown
            .map(|record| (record.place.0, record.place.1))
            .collect();
        wanted.dedup();
        Ok(Tracing {
            external_key: known.spec.external_key,
            plan: Arc::clone(&known.plan),
            span,
            streams: self.streams_of(known.spec.external_key).to_vec(),
            wanted,
        })
    }

    /// Keeps what was found in the log, unless plan or instants changed meanwhile; a charge that counts the event no
    /// more is not billed for it.
    pub fn put_changes(
        &mut self,
        subscription: Id,
        tracing: &Tracing,
        found: &BTreeMap<(u64, u32, Id), Change>,
    ) -> Result<()> {
        let index = self.index_of(subscription)?;
        let known = &mut self.subscriptions[index];
        if !Arc::ptr_eq(&known.plan, &tracing.plan) {
            return Ok(());
        }
        let before = known.pending.len();
        known.pending.retain_mut(|record| {
            let (segment, event, _) = record.place;
            if tracing.wanted.binary_search(&(segment, event)).is_err() {
                return true;
            }
            record.change = found.get(&(segment, event, record.charge)).cloned();
            record.change.is_some()
        });
        self.pending_count -= before - known.pending.len();
        if known.pending.is_empty() {
            self.awaiting.remove(&index);
        }
        Ok(())
    }

    /// What an event would change in a window now, for each charge that bills it; None unless the window is complete.
    pub fn probe(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        code: &[u8],
        sample: &Sample<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<Option<Vec<Pending>>> {
        let Some((known, window)) = self.window(subscription, bounds)? else {
            return Ok(None);
        };
        if !window.complete {
            return Ok(None);
        }
        let hits = known.plan.hits(code, sample)?;
        let changes = foreseen(&known.plan, window, &hits, sample.moment)?;
        records(&known.plan, &hits, changes, sample, arrival).map(Some)
    }
}
