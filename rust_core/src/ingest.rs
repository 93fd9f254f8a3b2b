//! The way of a body into the open batch: parsing, identities, de-duplication, routing.

use std::sync::MutexGuard;

use crate::answer::{self, Refusal, Stamp};
use crate::chain::{inbox_stream, unattributed_stream};
use crate::core::{Answer, Core, State};
use crate::error::Result;
use crate::event::{Context, UsageEvent};
use crate::id::Id;
use crate::registry::Registry;
use crate::request;
use crate::staging::Accepted;

impl Core {
    /// Parses, validates, de-duplicates and stages one body, all or nothing.
    pub fn ingest(&self, org: Id, body: &[u8], single: bool, now_us: i64) -> Result<Answer> {
        let computations = self.metrics.of(org);
        let context = Context {
            computations: computations.as_deref(),
            now_us,
        };
        let events = match request::read(body, single, self.batch_max(), &context) {
            Ok(events) => events,
            Err(refusal) => return Ok(Answer::refused(&refusal, Vec::new())),
        };
        let accepted = self.identify(org, events, now_us);
        let batch = match self.admit(org, &accepted)? {
            Ok(batch) => batch,
            Err((refused, wait_for)) => {
                return Ok(Answer::refused(
                    &Refusal::duplicates(&refused, single),
                    wait_for,
                ))
            }
        };
        Ok(Answer {
            status: 200,
            wait_for: vec![batch],
            count: accepted.len(),
            body: answer::events(&accepted, single)?,
        })
    }

    pub(crate) fn identify<'a>(
        &self,
        org: Id,
        events: Vec<UsageEvent<'a>>,
        now_us: i64,
    ) -> Vec<Accepted<'a>> {
        let mut last: Option<(&[u8], Id)> = None;
        let mut accepted = Vec::with_capacity(events.len());
        for event in events {
            // Most bodies speak of one subscription.
            let external_key = event.external_subscription_id.map(|text| match last {
                Some((raw, key)) if raw == text.raw => key,
                _ => {
                    let key = self.fingerprinter.external_key(org, &text.decode());
                    last = Some((text.raw, key));
                    key
                }
            });
            let timestamp_us = event.timestamp_us.unwrap_or(now_us);
            let transaction_id = event.transaction_id.decode();
            let fingerprint = match external_key {
                Some(key) => self.fingerprinter.event(key, &transaction_id),
                None => self.fingerprinter.unattributed(
                    org,
                    timestamp_us,
                    [&transaction_id, &event.code.decode(), event.properties],
                ),
            };
            let stamp = Stamp {
                fingerprint,
                timestamp_us,
                received_at_us: now_us,
            };
            accepted.push(Accepted {
                event,
                stamp,
                external_key,
            });
        }
        accepted
    }

    /// The batch the events are in now, or which of them are repetitions and what that depends on.
    #[allow(clippy::type_complexity)] // Used once, taken apart at once.
    fn admit(
        &self,
        org: Id,
        accepted: &[Accepted<'_>],
    ) -> Result<std::result::Result<u64, (Vec<usize>, Vec<u64>)>> {
        let (mut guard, keys, in_runs) = self.start_admitting(accepted)?;
        let state = &mut *guard;
        if let Err(duplicates) = state.dedup.admit(&keys, &in_runs, state.open.number) {
            state.refuse(org, accepted, &duplicates);
            return Ok(Err((duplicates.indexes, duplicates.wait_for)));
        }
        // All are routed first: so the look-ups wait for memory together.
        let routed = accepted.iter();
        let streams: Vec<Id> = routed
            .map(|event| route(&state.registry, org, event))
            .collect();
        for (event, stream) in accepted.iter().zip(streams) {
            state.open.stage(event, org, stream)?;
        }
        state.count_far(accepted);
        self.publish_staged_bytes(state);
        Ok(Ok(state.open.number))
    }

    /// The lock, what the events are known by, and the positions of those that runs hold.
    #[allow(clippy::type_complexity)] // Used twice, taken apart at once.
    pub(crate) fn start_admitting(
        &self,
        accepted: &[Accepted<'_>],
    ) -> Result<(MutexGuard<'_, State>, Vec<Option<Id>>, Vec<usize>)> {
        let keys: Vec<Option<Id>> = accepted.iter().map(Accepted::dedup_key).collect();
        let (state, in_runs) = self.find(&keys)?;
        state.assert_caught_up()?;
        Ok((state, keys, in_runs))
    }

    /// Which keys are in runs, and the lock under which every other committed one is in memory.
    pub(crate) fn find(&self, keys: &[Option<Id>]) -> Result<(MutexGuard<'_, State>, Vec<usize>)> {
        loop {
            let runs = self.runs()?;
            let found = self.sound(runs.find(keys))?;
            let state = self.lock()?;
            if state.dedup.runs().spills == runs.spills {
                return Ok((state, found));
            }
            // Some went from memory into a run meanwhile; that happens once in millions of events.
        }
    }
}

pub(crate) fn route(registry: &Registry, org: Id, accepted: &Accepted<'_>) -> Id {
    let (Some(key), Some(text)) = (
        accepted.external_key,
        accepted.event.external_subscription_id,
    ) else {
        return unattributed_stream(org);
    };
    registry
        .route(key, accepted.stamp.timestamp_us)
        .unwrap_or_else(|| inbox_stream(org, &text.decode()))
}
