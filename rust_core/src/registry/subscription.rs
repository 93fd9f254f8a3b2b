//! Subscriptions as the registry knows them, and what their external ids hold.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::advance::{records, Arrival, Pending, Totals};
use crate::error::Result;
use crate::id::Id;
use crate::log::StreamIndex;
use crate::plan::Plan;
use crate::property::Sample;
use crate::window::{Ranges, Span, Window};

/// A subscription as its events tell; several may share an external id one after the other.
pub struct SubscriptionSpec {
    pub id: Id,
    pub org: Id,
    pub external_key: Id,
    /// The customer's stream, which takes its usage.
    pub stream: Id,
    pub plan_key: Id,
    pub started_at_us: i64,
    pub terminated_at_us: Option<i64>,
}

impl SubscriptionSpec {
    /// Instants whose events belong to it.
    pub(super) fn span(&self) -> Span {
        Span::new(
            self.started_at_us,
            self.terminated_at_us.unwrap_or(i64::MAX),
        )
    }
}

pub struct Subscription {
    pub spec: SubscriptionSpec,
    pub plan: Arc<Plan>,
    pub span: Span,
    pub windows: Vec<Window>,
    /// Usage that waits to be billed, in the order of the log.
    pub pending: VecDeque<Pending>,
}

impl Subscription {
    /// The part of a window that lies in the subscription.
    pub(super) fn span_of(&self, window: &Window) -> Span {
        window.span.intersection(&self.span)
    }

    /// Adds one committed event to every window that counts it; true if one does.
    ///
    /// An event in a complete window tells what it changed there to the charges that bill it.
    pub(super) fn fold(
        &mut self,
        code: &[u8],
        sample: &Sample<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<bool> {
        let at = sample.moment.timestamp_us;
        let billed = self.plan.bills_in_advance && self.span.contains(at);
        let mut changes = Vec::new();
        let mut hits = None;
        for window in &mut self.windows {
            let span = window.span.intersection(&self.span);
            if !span.reach(&self.plan).contains(at) {
                continue;
            }
            let hits = match &hits {
                Some(hits) => hits,
                None => hits.insert(self.plan.hits(code, sample)?),
            };
            if billed && window.complete && span.contains(at) {
                let before = Totals::of(&window.buckets, hits)?;
                window.fold(&span, hits, sample.moment)?;
                changes = before.changes(&window.buckets, hits, window.bounds)?;
            } else {
                window.fold(&span, hits, sample.moment)?;
            }
        }
        let folded = hits.is_some();
        if billed {
            let hits = match hits {
                Some(hits) => hits,
                None => self.plan.hits(code, sample)?,
            };
            let records = records(&self.plan, &hits, changes, sample, arrival)?;
            self.pending.extend(records);
        }
        Ok(folded)
    }
}

/// What is known of one (organization, external subscription id).
#[derive(Default)]
pub struct External {
    /// Positions in `Registry::subscriptions`, in order of registration.
    pub subscriptions: Vec<usize>,
    /// Streams that ever stored events of it.
    pub streams: Vec<StreamIndex>,
    /// Covers the events that are in the totals of no window.
    pub unfolded: Ranges,
}
