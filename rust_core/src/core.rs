//! The core of one partition: what is committed, what is on its way, and the calls that move events along.
//!
//! ```text
//! ingest → open batch → seal → (stored by the caller) → confirm | rollback
//! ```
//! One lock guards everything; parsing, packing, hashing and compressing happen outside it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::advance::Arrival;
use crate::answer::{self, Refusal, Stamp};
use crate::chain::{inbox_stream, unattributed_stream, Head};
use crate::commit::{Fact, Packing, Sealed};
use crate::computed::Metrics;
use crate::dedup::{Dedup, Duplicates, Index, Position, Runs};
use crate::error::{CoreError, Result};
use crate::event::{Context, UsageEvent};
use crate::fingerprint::Fingerprinter;
use crate::id::{Id, IdMap};
use crate::log::Log;
use crate::registry::Registry;
use crate::repetition::Repetitions;
use crate::request;
use crate::staging::{Accepted, Batch, Group, InCommit, SealedBatch};

/// 2200-01-01: what lies beyond was meant in milliseconds (events.md §12).
const FAR_US: i64 = 7_258_118_400_000_000;

/// Answer to one HTTP body.
pub struct Answer {
    pub status: u16,
    /// Batches that must commit before the answer may be sent, ascending.
    pub wait_for: Vec<u64>,
    /// Accepted events.
    pub count: usize,
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn refused(refusal: &Refusal, wait_for: Vec<u64>) -> Self {
        Self {
            status: refusal.status(),
            wait_for,
            count: 0,
            body: refusal.body(),
        }
    }
}

pub struct State {
    pub log: Log,
    pub dedup: Dedup,
    pub registry: Registry,
    pub open: Batch,
    pub in_commit: InCommit,
    /// Refused repetitions since the start.
    pub duplicates: u64,
    pub repetitions: Repetitions,
    /// Accepted events since the start whose timestamp looks like milliseconds.
    pub far_timestamps: u64,
}

impl State {
    pub fn new(log: Log, dedup: Dedup, registry: Registry) -> Self {
        Self {
            log,
            dedup,
            registry,
            open: Batch::new(1),
            in_commit: InCommit::Nothing,
            duplicates: 0,
            repetitions: Repetitions::default(),
            far_timestamps: 0,
        }
    }

    /// Usage is refused, and nothing committed, while the index does not hold the whole log.
    fn assert_caught_up(&self) -> Result<()> {
        if self.dedup.position().commit == self.log.commit {
            return Ok(());
        }
        Err(CoreError::State("the index is not at the end of the log"))
    }

    fn staged_bytes(&self) -> usize {
        self.open.bytes() + self.in_commit.bytes()
    }

    /// Counts repetitions and keeps them for a comparison with their originals.
    pub(crate) fn refuse(&mut self, org: Id, body: &[Accepted<'_>], duplicates: &Duplicates) {
        self.duplicates += duplicates.indexes.len() as u64;
        self.repetitions.note(org, body, duplicates);
    }

    pub(crate) fn count_far(&mut self, accepted: &[Accepted<'_>]) {
        let far = |event: &&Accepted<'_>| event.stamp.timestamp_us >= FAR_US;
        self.far_timestamps += accepted.iter().filter(far).count() as u64;
    }
}

pub struct Core {
    pub fingerprinter: Fingerprinter,
    batch_max: usize,
    pub metrics: Metrics,
    /// Where fingerprints go that memory need not hold; None: memory holds all.
    pub index: Option<Index>,
    /// Copy of the state's runs: searching them takes no lock.
    runs: RwLock<Arc<Runs>>,
    state: Mutex<State>,
    /// Copy of the state's figure, readable without the lock.
    staged_bytes: AtomicUsize,
}

impl Core {
    /// A core for a log that is to be fed from its beginning. index: directory of fingerprints.
    pub fn new(secret: Id, batch_max: usize, index: Option<&Path>) -> Result<Self> {
        let fresh = (Log::default(), Registry::default(), Metrics::default());
        Self::with(secret, batch_max, index, fresh)
    }

    pub fn with(
        secret: Id,
        batch_max: usize,
        index: Option<&Path>,
        (log, registry, metrics): (Log, Registry, Metrics),
    ) -> Result<Self> {
        let fingerprinter = Fingerprinter::new(secret);
        let opened = index.map(|path| Index::open(path, fingerprinter.secret_check()));
        let opened = opened.transpose().map_err(CoreError::in_index)?;
        let (index, dedup) = opened.unzip();
        let dedup = dedup.unwrap_or_default();
        Ok(Self {
            fingerprinter,
            batch_max,
            metrics,
            index,
            runs: RwLock::new(Arc::clone(dedup.runs())),
            state: Mutex::new(State::new(log, dedup, registry)),
            staged_bytes: AtomicUsize::new(0),
        })
    }

    /// A panic while the lock was held may have left half a change behind.
    pub fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(half_changed)
    }

    /// The runs to search.
    pub fn runs(&self) -> Result<Arc<Runs>> {
        let runs = self.runs.read().map_err(half_changed)?;
        Ok(Arc::clone(&runs))
    }

    /// Search these runs from now on; the caller holds the state's lock and changes it, too.
    pub fn search(&self, runs: Arc<Runs>) -> Result<()> {
        *self.runs.write().map_err(half_changed)? = runs;
        Ok(())
    }

    pub fn staged_bytes(&self) -> usize {
        self.staged_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn batch_max(&self) -> usize {
        self.batch_max
    }

    pub(crate) fn publish_staged_bytes(&self, state: &State) {
        self.staged_bytes
            .store(state.staged_bytes(), Ordering::Relaxed);
    }

    /// Parses, validates, de-duplicates and stages one body, all or nothing.
    pub fn ingest(&self, org: Id, body: &[u8], single: bool, now_us: i64) -> Result<Answer> {
        let computations = self.metrics.of(org);
        let context = Context {
            computations: computations.as_deref(),
            now_us,
        };
        let events = match request::read(body, single, self.batch_max, &context) {
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
        for event in accepted {
            let stream = route(&state.registry, org, event);
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

    /// Closes the open batch and prepares its commit.
    pub fn seal(&self, recorded_at_us: i64, facts: &[Fact<'_>]) -> Result<Sealed> {
        let mut packing = self.start_packing(recorded_at_us, facts)?;
        let packed = packing.pack(facts);
        let mut state = self.lock()?;
        match packed {
            Ok((sealed, outcome)) => {
                state.in_commit = InCommit::Sealed(Box::new(packing.into_sealed(outcome)));
                self.publish_staged_bytes(&state);
                Ok(sealed)
            }
            Err(error) => {
                state.dedup.forget(packing.batch.dedup_keys());
                state.in_commit = InCommit::Nothing;
                self.publish_staged_bytes(&state);
                Err(error)
            }
        }
    }

    fn start_packing(&self, recorded_at_us: i64, facts: &[Fact<'_>]) -> Result<Packing> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        if !matches!(state.in_commit, InCommit::Nothing) {
            return Err(CoreError::State(
                "a sealed batch awaits confirm or rollback",
            ));
        }
        state.assert_caught_up()?;
        let next = Batch::new(state.open.number + 1);
        let batch = std::mem::replace(&mut state.open, next);
        state.in_commit = InCommit::Packing {
            bytes: batch.bytes(),
            events: batch.event_count(),
        };
        let fact_streams = facts.iter().map(|fact| fact.stream);
        let usage_streams = batch.groups.iter().map(|group| group.stream);
        let heads: IdMap<Head> = fact_streams
            .chain(usage_streams)
            .map(|stream| (stream, state.log.head(stream)))
            .collect();
        Ok(Packing {
            batch,
            recorded_at_us,
            previous: state.log.commit,
            heads,
            segment_no: state.log.segment_no + 1,
        })
    }

    /// The sealed batch is stored.
    pub fn confirm(&self) -> Result<()> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let sealed = take_sealed(state)?;
        state.commit(&sealed)?;
        self.publish_staged_bytes(state);
        Ok(())
    }

    /// The sealed batch was not stored.
    pub fn rollback(&self) -> Result<()> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let sealed = take_sealed(state)?;
        state.dedup.forget(sealed.batch.dedup_keys());
        self.publish_staged_bytes(state);
        Ok(())
    }

    pub fn stats(&self) -> Result<[(&'static str, u64); 17]> {
        let state = self.lock()?;
        let staged_events = state.open.event_count() + state.in_commit.event_count();
        let (windows, window_bytes) = state.registry.window_figures();
        let repetitions = state.repetitions.figures;
        let index = state.dedup.figures();
        Ok([
            ("events", state.log.usage_events),
            ("duplicates", state.duplicates),
            ("staged_bytes", state.staged_bytes() as u64),
            ("staged_events", staged_events as u64),
            ("fingerprints", index.fingerprints),
            ("fingerprints_in_memory", index.in_memory),
            ("fingerprint_runs", index.runs as u64),
            ("fingerprint_bytes", index.bytes as u64),
            ("windows", windows as u64),
            ("window_bytes", window_bytes as u64),
            ("subscriptions", state.registry.subscriptions.len() as u64),
            ("streams", state.log.stream_count() as u64),
            ("repetitions_same", repetitions.same),
            ("repetitions_different", repetitions.different),
            ("repetitions_not_compared", repetitions.not_compared),
            ("far_timestamps", state.far_timestamps),
            ("pending_in_advance", state.registry.pending_count as u64),
        ])
    }
}

fn half_changed<T>(_: PoisonError<T>) -> CoreError {
    CoreError::Corruption("the metering core stopped inside a change; restart from the log".into())
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

fn take_sealed(state: &mut State) -> Result<SealedBatch> {
    match std::mem::replace(&mut state.in_commit, InCommit::Nothing) {
        InCommit::Sealed(sealed) => Ok(*sealed),
        other => {
            state.in_commit = other;
            Err(CoreError::State("no batch is sealed"))
        }
    }
}

impl State {
    fn commit(&mut self, sealed: &SealedBatch) -> Result<()> {
        for &(stream, head) in &sealed.fact_heads {
            self.log.advance(stream, head)?;
        }
        let batch = &sealed.batch;
        let mut streams = vec![0; batch.groups.len()];
        if !sealed.usage_heads.is_empty() {
            self.log.segment_no += 1;
        }
        for &(group, head) in &sealed.usage_heads {
            streams[group] = self.log.advance(batch.groups[group].stream, head)?;
            self.log.add_segment(streams[group]);
            let Group {
                org,
                span_us,
                received_us,
                ..
            } = batch.groups[group];
            self.log
                .orgs
                .add(org, self.log.segment_no, span_us, received_us);
        }
        let position = Position {
            commit: sealed.commit,
            segment_no: self.log.segment_no,
        };
        self.dedup.commit(batch.dedup_keys(), position)?;
        let groups = sealed.usage_heads.iter().map(|(group, _)| *group);
        for event in batch.foldable(groups) {
            let stream = streams[event.group];
            let arrival = Arrival {
                segment: self.log.segment_no,
                event: event.number,
                raw: event.raw,
            };
            let (code, sample) = (&event.code, &event.sample);
            self.registry
                .fold(event.external_key, stream, code, sample, &arrival)?;
        }
        self.log.usage_events += batch.event_count() as u64;
        self.log.commit = sealed.commit;
        Ok(())
    }
}
