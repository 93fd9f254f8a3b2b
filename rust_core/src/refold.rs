//! Totals of a registered window from the stored segments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::Core;
use crate::error::{argument, Result};
use crate::id::Id;
use crate::log_fold::{Conditions, LogFold, Selection};
use crate::registry::Refold;
use crate::segment::Segment;

/// A window on its way from the log; the registry is untouched until it is finished.
pub struct RunningRefold {
    subscription: Id,
    bounds: (i64, i64),
    refold: Refold,
    fold: LogFold,
    /// Numbers of the segments that are still to be fed.
    needed: BTreeSet<u64>,
}

impl RunningRefold {
    pub fn needed(&self) -> impl Iterator<Item = u64> + '_ {
        self.needed.iter().copied()
    }

    /// Folds needed segments, in ascending order of their numbers; others are ignored.
    pub fn feed(&mut self, segments: &[&[u8]]) -> Result<()> {
        let mut given = BTreeMap::new();
        for bytes in segments {
            let number = Segment::open(bytes)?.number;
            if self.needed.remove(&number) {
                given.insert(number, *bytes);
            }
        }
        self.fold.feed(&given.into_values().collect::<Vec<_>>())
    }
}

impl Core {
    /// Begins to complete a registered window; None if it is not registered.
    pub fn begin_refold(
        &self,
        subscription: Id,
        bounds: (i64, i64),
    ) -> Result<Option<RunningRefold>> {
        let state = self.lock()?;
        let Some(refold) = state.registry.refold(subscription, bounds)? else {
            return Ok(None);
        };
        let streams = refold.streams.iter();
        let streams = streams.map(|&index| state.log.stream_id(index)).collect();
        let mut fold = LogFold::new(self.fingerprinter.clone(), Some(streams));
        fold.add(Selection::new(
            refold.external_key,
            Arc::clone(&refold.plan),
            refold.span,
            Conditions::default(),
        ))?;
        let needed = state.log.segments_of(&refold.streams).into_iter();
        Ok(Some(RunningRefold {
            subscription,
            bounds,
            needed: needed
                .filter(|&number| number <= refold.since_segment)
                .collect(),
            refold,
            fold,
        }))
    }

    /// False: window or subscription changed meanwhile.
    pub fn finish_refold(&self, running: RunningRefold) -> Result<bool> {
        if let Some(number) = running.needed.first() {
            return argument(format!("segment {number} is needed and was not given"));
        }
        let older = running.fold.into_buckets(0)?;
        let mut state = self.lock()?;
        state
            .registry
            .finish_refold(running.subscription, running.bounds, &running.refold, older)
    }

    /// Completes a registered window from the log at once. False: window or subscription changed meanwhile.
    pub fn fold_window(
        &self,
        subscription: Id,
        bounds: (i64, i64),
        segments: &[&[u8]],
    ) -> Result<bool> {
        match self.begin_refold(subscription, bounds)? {
            None => Ok(false),
            Some(mut running) => {
                running.feed(segments)?;
                self.finish_refold(running)
            }
        }
    }
}
