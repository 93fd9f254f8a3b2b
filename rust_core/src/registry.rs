//! Plans, subscriptions and usage windows: where the events of an external subscription id belong.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::advance::Pending;
use crate::charge::Charge;
use crate::error::{argument, CoreError, Result};
use crate::id::{Id, IdMap, IdSet};
use crate::log::StreamIndex;
use crate::plan::Plan;
use crate::window::Span;

mod advance;
mod folding;
mod subscription;
mod windows;

pub use advance::Tracing;
pub use folding::Committed;
pub use subscription::{External, Subscription, SubscriptionSpec};
pub use windows::Refold;

#[derive(Default)]
pub struct Registry {
    pub plans: IdMap<Arc<Plan>>,
    pub subscriptions: Vec<Subscription>,
    pub externals: IdMap<External>,
    /// Subscriptions that may have incomplete windows nobody was told of.
    pub stale: IdSet,
    by_id: IdMap<usize>,
    stream_orgs: IdMap<Id>,
    tickets: u64,
    /// Subscriptions with pending usage, and how much of it there is in all.
    awaiting: BTreeSet<usize>,
    pub pending_count: usize,
}

impl Registry {
    /// Registers one plan version.
    pub fn put_plan(&mut self, key: Id, charges: Vec<Charge>) -> Result<()> {
        match self.plans.get(&key) {
            Some(known) if *known.charges == *charges => Ok(()),
            Some(_) => argument("a plan version never changes"),
            None => {
                self.plans.insert(key, Arc::new(Plan::new(charges)));
                Ok(())
            }
        }
    }

    /// Inserts a subscription, or changes the plan or instants of a known one.
    pub fn put_subscription(&mut self, spec: SubscriptionSpec, segment_no: u64) -> Result<()> {
        let Some(plan) = self.plans.get(&spec.plan_key).map(Arc::clone) else {
            return argument("the plan is not registered");
        };
        if *self.stream_orgs.entry(spec.stream).or_insert(spec.org) != spec.org {
            return argument("a stream belongs to one organization");
        }
        if let Some(&index) = self.by_id.get(&spec.id) {
            return self.change_subscription(index, spec, plan, segment_no);
        }
        self.insert_subscription(spec, plan);
        Ok(())
    }

    pub fn insert_subscription(
        &mut self,
        spec: SubscriptionSpec,
        plan: Arc<Plan>,
    ) -> &mut Subscription {
        let index = self.subscriptions.len();
        self.by_id.insert(spec.id, index);
        self.stream_orgs.insert(spec.stream, spec.org);
        let external = self.externals.entry(spec.external_key).or_default();
        external.subscriptions.push(index);
        self.subscriptions.push(Subscription {
            span: spec.span(),
            spec,
            plan,
            windows: Vec::new(),
            pending: VecDeque::new(),
        });
        &mut self.subscriptions[index]
    }

    /// Windows whose events the change may touch start anew, incomplete.
    fn change_subscription(
        &mut self,
        index: usize,
        spec: SubscriptionSpec,
        plan: Arc<Plan>,
        segment_no: u64,
    ) -> Result<()> {
        let known = &self.subscriptions[index];
        let (old, span) = (&known.spec, spec.span());
        if (old.external_key, old.stream) != (spec.external_key, spec.stream) {
            return argument("a subscription keeps its external id and its stream");
        }
        let plan_changed = known.plan.charges != plan.charges;
        let moved = known.span.differences(&span);
        if !plan_changed && known.span == span {
            self.subscriptions[index].spec = spec;
            return Ok(());
        }
        let touched: Vec<bool> = known
            .windows
            .iter()
            .map(|window| {
                let reach = window.span.reach(&plan);
                let holds =
                    |part: &Span| self.may_hold(spec.external_key, &part.intersection(&reach));
                !window.complete || moved.iter().any(holds) || (plan_changed && holds(&reach))
            })
            .collect();
        if touched.contains(&true) {
            self.stale.insert(spec.id);
        }
        let subscription = &mut self.subscriptions[index];
        for (window, touched) in subscription.windows.iter_mut().zip(touched) {
            if touched {
                self.tickets += 1;
                window.complete = false;
                window.since_segment = segment_no;
                window.ticket = self.tickets;
                if let (Some((first, last)), Some(external)) = (
                    window.folded.take(),
                    self.externals.get_mut(&spec.external_key),
                ) {
                    external.unfolded.add(first, last);
                }
            }
            if touched || plan_changed {
                window.clear(&plan);
            }
        }
        subscription.spec = spec;
        subscription.plan = plan;
        subscription.span = span;
        Ok(())
    }

    /// False: no stored event of the external id has a timestamp in the span.
    fn may_hold(&self, external_key: Id, span: &Span) -> bool {
        let Some(external) = self.externals.get(&external_key) else {
            return false;
        };
        let mut windows = external
            .subscriptions
            .iter()
            .flat_map(|&index| &self.subscriptions[index].windows);
        external.unfolded.overlaps(span)
            || windows.any(|window| window.folded.is_some_and(|range| span.overlaps(range)))
    }

    /// The stream that takes an event: of the subscription at its time, else of the one started last.
    ///
    /// None: the external id is not registered.
    pub fn route(&self, external_key: Id, timestamp_us: i64) -> Option<Id> {
        let candidates = &self.externals.get(&external_key)?.subscriptions;
        candidates
            .iter()
            .map(|&index| &self.subscriptions[index])
            .max_by_key(|known| (known.span.contains(timestamp_us), known.spec.started_at_us))
            .map(|known| known.spec.stream)
    }

    /// Usage that waited to be billed when a snapshot was taken.
    pub fn restore_pending(&mut self, index: usize, pending: VecDeque<Pending>) {
        if !pending.is_empty() {
            self.pending_count += pending.len();
            self.awaiting.insert(index);
        }
        self.subscriptions[index].pending = pending;
    }

    fn index_of(&self, subscription: Id) -> Result<usize> {
        self.by_id
            .get(&subscription)
            .copied()
            .ok_or_else(|| CoreError::Argument("the subscription is not registered".to_owned()))
    }

    /// Streams that ever stored events of an external id.
    pub fn streams_of(&self, external_key: Id) -> &[StreamIndex] {
        self.externals
            .get(&external_key)
            .map_or(&[], |external| &external.streams)
    }

    pub fn external_key(&self, subscription: Id) -> Result<Id> {
        Ok(self.subscriptions[self.index_of(subscription)?]
            .spec
            .external_key)
    }

    pub fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

#[cfg(test)]
mod tests;
