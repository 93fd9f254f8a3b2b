//! Windows of the registry: opening, reading, folding them again from the log, closing.

use std::sync::Arc;

use super::{Registry, Subscription};
use crate::bucket::Bucket;
use crate::error::{argument, Result};
use crate::id::Id;
use crate::log::StreamIndex;
use crate::plan::Plan;
use crate::reading::{self, BucketUsage, Period};
use crate::window::{Span, Window};

/// What a fold of the log for one window has to know; see `Registry::finish_refold`.
pub struct Refold {
    pub external_key: Id,
    pub plan: Arc<Plan>,
    pub span: Span,
    pub since_segment: u64,
    pub streams: Vec<StreamIndex>,
    ticket: u64,
}

impl Registry {
    pub(super) fn window(
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
        if !complete {
            self.stale.insert(subscription);
        }
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
        period: Period<'_>,
    ) -> Result<Option<Vec<BucketUsage>>> {
        match self.window(subscription, bounds)? {
            Some((known, window)) if window.complete => {
                let span = known.span_of(window);
                reading::read(&known.plan, &window.buckets, span, period).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// True if the window is registered and must be folded from the log before it can be read.
    pub fn is_incomplete(&self, subscription: Id, bounds: (i64, i64)) -> Result<bool> {
        let window = self.window(subscription, bounds)?;
        Ok(window.is_some_and(|(_, window)| !window.complete))
    }

    /// Windows that became incomplete since the last call, and are so still.
    pub fn take_incomplete(&mut self) -> Vec<(Id, (i64, i64))> {
        let mut found = Vec::new();
        for id in std::mem::take(&mut self.stale) {
            let known = self.by_id.get(&id).map(|&index| &self.subscriptions[index]);
            let windows = known.into_iter().flat_map(|known| &known.windows);
            let incomplete = windows.filter(|window| !window.complete);
            found.extend(incomplete.map(|window| (id, window.bounds)));
        }
        found
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

    /// How many windows there are, and the bytes of memory their totals take, about.
    pub fn window_figures(&self) -> (usize, usize) {
        let windows = self.subscriptions.iter().flat_map(|known| &known.windows);
        windows.fold((0, 0), |(count, bytes), window| {
            (count + 1, bytes + window.bytes)
        })
    }
}
