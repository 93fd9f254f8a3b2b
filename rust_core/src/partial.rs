//! `POST /events/batch?partial=true`: every event for itself, one result each.
//!
//! What is accepted is accepted as in the default mode: the same checks, the same index, the same batch. An answer holds
//! when the batch of its accepted events and those of the originals its repetitions met are committed.

use std::slice;

use crate::answer::{flaw_details, push_event};
use crate::core::{Answer, Core};
use crate::dedup::Duplicates;
use crate::error::Result;
use crate::event::{Context, Flaw};
use crate::id::Id;
use crate::ingest::route;
use crate::request;
use crate::staging::Accepted;

/// What became of an event; an accepted one is in the open batch.
enum Outcome {
    Accepted,
    Duplicate,
}

impl Core {
    /// Parses, validates, de-duplicates and stages one body, event by event.
    pub fn ingest_partial(&self, org: Id, body: &[u8], now_us: i64) -> Result<Answer> {
        let computations = self.metrics.of(org);
        let context = Context {
            computations: computations.as_deref(),
            now_us,
        };
        let checked = match request::read_each(body, self.batch_max(), &context) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Answer::refused(&refusal, Vec::new())),
        };
        let mut flaws: Vec<Option<Flaw>> = Vec::with_capacity(checked.len());
        let mut events = Vec::with_capacity(checked.len());
        for item in checked {
            match item {
                Ok(event) => {
                    events.push(event);
                    flaws.push(None);
                }
                Err(flaw) => flaws.push(Some(flaw)),
            }
        }
        let identified = self.identify(org, events, now_us);
        let (outcomes, wait_for) = self.admit_each(org, &identified)?;
        render(&flaws, &identified, &outcomes, wait_for)
    }

    /// Stages what is new. Gives the outcomes, and the batches they depend on, ascending.
    fn admit_each(&self, org: Id, identified: &[Accepted<'_>]) -> Result<(Vec<Outcome>, Vec<u64>)> {
        let (mut guard, keys, in_runs) = self.start_admitting(identified)?;
        let state = &mut *guard;
        let batch = state.open.number;
        let mut refused = Duplicates::default();
        let mut outcomes = Vec::with_capacity(identified.len());
        for (index, event) in identified.iter().enumerate() {
            let in_runs = in_runs.binary_search(&index).map_or(&[][..], |_| &[0]);
            match state.dedup.admit(&keys[index..=index], in_runs, batch) {
                Ok(()) => {
                    let stream = route(&state.registry, org, event);
                    state.open.stage(event, org, stream)?;
                    state.count_far(slice::from_ref(event));
                    outcomes.push(Outcome::Accepted);
                }
                Err(duplicate) => {
                    refused.indexes.push(index);
                    refused.wait_for.extend(duplicate.wait_for);
                    outcomes.push(Outcome::Duplicate);
                }
            }
        }
        refused.wait_for.sort_unstable();
        refused.wait_for.dedup();
        if !refused.indexes.is_empty() {
            state.refuse(org, identified, &refused);
        }
        let mut wait_for = refused.wait_for;
        if outcomes.len() > refused.indexes.len() && wait_for.last() != Some(&batch) {
            wait_for.push(batch);
        }
        self.publish_staged_bytes(state);
        Ok((outcomes, wait_for))
    }
}

fn render(
    flaws: &[Option<Flaw>],
    identified: &[Accepted<'_>],
    outcomes: &[Outcome],
    wait_for: Vec<u64>,
) -> Result<Answer> {
    let mut found = identified.iter().zip(outcomes);
    let [mut accepted, mut duplicates, mut refused] = [0_usize; 3];
    let mut body = br#"{"events":["#.to_vec();
    for (index, flaw) in flaws.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(format!(r#"{{"index":{index},"status":"#).as_bytes());
        let outcome = if flaw.is_none() { found.next() } else { None };
        match (flaw, outcome) {
            (_, Some((event, Outcome::Accepted))) => {
                accepted += 1;
                body.extend_from_slice(br#""accepted","event":"#);
                push_event(&mut body, &event.event, &event.stamp)?;
            }
            (Some(flaw), _) => {
                refused += 1;
                body.extend_from_slice(br#""refused","error_details":"#);
                body.extend_from_slice(flaw_details(flaw).as_bytes());
            }
            (None, _) => {
                duplicates += 1;
                body.extend_from_slice(br#""duplicate","error_details":"#);
                body.extend_from_slice(flaw_details(&Flaw::duplicate()).as_bytes());
            }
        }
        body.push(b'}');
    }
    let meta = format!(
        r#"],"meta":{{"accepted_count":{accepted},"duplicate_count":{duplicates},"refused_count":{refused}}}}}"#
    );
    body.extend_from_slice(meta.as_bytes());
    Ok(Answer {
        status: 200,
        wait_for,
        count: accepted,
        body,
    })
}
