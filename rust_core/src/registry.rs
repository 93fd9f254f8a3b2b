//! Plans, subscriptions and usage windows: where the events of an external subscription id belong.

use std::sync::Arc;

use crate::bucket::Bucket;
use crate::charge::Charge;
use crate::error::{argument, CoreError, Result};
use crate::id::{Id, IdMap};
use crate::log::StreamIndex;
use crate::plan::Plan;
use crate::property::Sample;
use crate::reading::{self, BucketUsage, Level, Period};
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
    fn span(&self) -> Span {
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
}

impl Subscription {
    /// The part of a window that lies in the subscription.
    fn span_of(&self, window: &Window) -> Span {
        window.span.intersection(&self.span)
    }

    /// Adds one committed event to every window that counts it; true if one does.
    fn fold(&mut self, code: &[u8], sample: &Sample<'_>) -> Result<bool> {
        let mut hits = None;
        for window in &mut self.windows {
            let span = window.span.intersection(&self.span);
            if !span.reach(&self.plan).contains(sample.moment.timestamp_us) {
                continue;
            }
            let hits = match &hits {
                Some(hits) => hits,
                None => hits.insert(self.plan.hits(code, sample)?),
            };
            window.fold(&span, hits, sample.moment)?;
        }
        Ok(hits.is_some())
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

/// What a fold of the log for one window has to know; see `Registry::finish_refold`.
pub struct Refold {
    pub external_key: Id,
    pub plan: Arc<Plan>,
    pub span: Span,
    pub since_segment: u64,
    pub streams: Vec<StreamIndex>,
    ticket: u64,
}

#[derive(Default)]
pub struct Registry {
    pub plans: IdMap<Arc<Plan>>,
    pub subscriptions: Vec<Subscription>,
    pub externals: IdMap<External>,
    by_id: IdMap<usize>,
    stream_orgs: IdMap<Id>,
    tickets: u64,
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

    /// Adds one committed event to every window that counts it.
    pub fn fold(
        &mut self,
        external_key: Id,
        stream: StreamIndex,
        code: &[u8],
        sample: &Sample<'_>,
    ) -> Result<()> {
        let external = self.externals.entry(external_key).or_default();
        if !external.streams.contains(&stream) {
            external.streams.push(stream);
        }
        let at = sample.moment.timestamp_us;
        let mut folded = false;
        for &index in &external.subscriptions {
            folded |= self.subscriptions[index].fold(code, sample)?;
        }
        if !folded {
            external.unfolded.add(at, at);
        }
        Ok(())
    }

    fn index_of(&self, subscription: Id) -> Result<usize> {
        self.by_id
            .get(&subscription)
            .copied()
            .ok_or_else(|| CoreError::Argument("the subscription is not registered".to_owned()))
    }

    fn window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
    ) -> Result<Option<(&Subscription, &Window)>> {
        let subscription = &self.subscriptions[self.index_of(subscription)?];
        let window = subscription
            .windows
            .iter()
            .find(|window| window.bounds == bounds);
        Ok(window.map(|window| (subscription, window)))
    }

    /// Registers a window; true if it is complete.
    pub fn open_window(
        &mut self,
        subscription: Id,
        bounds: (i64, i64),
        segment_no: u64,
    ) -> Result<bool> {
        if bounds.0 > bounds.1 {
            return argument("a window ends before it begins");
        }
        if let Some((_, window)) = self.window(subscription, bounds)? {
            return Ok(window.complete);
        }
        let index = self.index_of(subscription)?;
        let ticket = self.next_ticket();
        let known = &self.subscriptions[index];
        let mut window = Window::new(bounds, &known.plan, segment_no, ticket);
        let reach = known.span_of(&window).reach(&known.plan);
        window.complete = !self.may_hold(known.spec.external_key, &reach);
        if let Some(earlier) = self
            .predecessor(known, &window)
            .filter(|_| !window.complete)
        {
            window.follow(&known.plan, earlier);
        }
        let complete = window.complete;
        self.subscriptions[index].windows.push(window);
        Ok(complete)
    }

    /// The newest complete window before this one, if no event came after it: recurring metrics carry over from there,
    /// which spares reading the whole log at the beginning of every period.
    fn predecessor<'a>(&self, known: &'a Subscription, window: &Window) -> Option<&'a Window> {
        let before = known
            .windows
            .iter()
            .filter(|earlier| earlier.complete && earlier.span.end <= window.span.start);
        let earlier = before.max_by_key(|earlier| earlier.span.end)?;
        let since = Span {
            start: known.span_of(earlier).end,
            end: known.span_of(window).end,
        };
        (!self.may_hold(known.spec.external_key, &since)).then_some(earlier)
    }

    pub fn close_window(&mut self, subscription: Id, bounds: (i64, i64)) -> Result<()> {
        let index = self.index_of(subscription)?;
        let subscription = &mut self.subscriptions[index];
        let Some(position) = subscription
            .windows
            .iter()
            .position(|window| window.bounds == bounds)
        else {
            return Ok(());
        };
        let window = subscription.windows.remove(position);
        let external = self
            .externals
            .entry(subscription.spec.external_key)
            .or_default();
        if let Some((first, last)) = window.folded {
            external.unfolded.add(first, last);
        }
        Ok(())
    }

    /// Totals in plan order; None if the window is not registered or not complete.
    pub fn read_window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        period: Option<Period>,
        levels: &[Level],
    ) -> Result<Option<Vec<BucketUsage>>> {
        match self.window(subscription, bounds)? {
            Some((known, window)) if window.complete => {
                let span = known.span_of(window);
                reading::read(&known.plan, window, span, period, levels).map(Some)
            }
            _ => Ok(None),
        }
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

    /// What to fold for an incomplete window; None if it is not registered.
    pub fn refold(&self, subscription: Id, bounds: (i64, i64)) -> Result<Option<Refold>> {
        let Some((subscription, window)) = self.window(subscription, bounds)? else {
            return Ok(None);
        };
        let external_key = subscription.spec.external_key;
        Ok(Some(Refold {
            external_key,
            plan: Arc::clone(&subscription.plan),
            span: subscription.span_of(window),
            since_segment: window.since_segment,
            streams: self.streams_of(external_key).to_vec(),
            ticket: window.ticket,
        }))
    }

    /// Completes the window with what was folded from the log; false if its totals started anew meanwhile.
    pub fn finish_refold(
        &mut self,
        subscription: Id,
        bounds: (i64, i64),
        refold: &Refold,
        older: Vec<Bucket>,
    ) -> Result<bool> {
        let index = self.index_of(subscription)?;
        let windows = &mut self.subscriptions[index].windows;
        let current = windows
            .iter_mut()
            .find(|window| window.ticket == refold.ticket);
        match current.filter(|window| window.bounds == bounds) {
            Some(window) if window.complete => Ok(true),
            Some(window) => {
                window.complete_with(older)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    pub fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// How many windows there are, and the bytes of memory their totals take, about.
    pub fn window_figures(&self) -> (usize, usize) {
        let windows = self.subscriptions.iter().flat_map(|known| &known.windows);
        windows.fold((0, 0), |(count, bytes), window| {
            (count + 1, bytes + window.bytes)
        })
    }
}

#[cfg(test)]
mod tests;
