//! The core of one partition: what is committed, what is on its way, and the calls that move events along.
//!
//! ```text
//! ingest → open batch → seal → (stored by the caller) → confirm | rollback
//! ```
//! One lock guards everything; parsing, packing, hashing and compressing happen outside it. `ingest.rs` has the way into the
//! open batch, `sealing.rs` the rest of it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::answer::Refusal;
use crate::computed::Metrics;
use crate::dedup::{Dedup, Duplicates, Index, Runs};
use crate::error::{CoreError, Result};
use crate::fingerprint::Fingerprinter;
use crate::id::Id;
use crate::log::Log;
use crate::registry::Registry;
use crate::repetition::Repetitions;
use crate::segment::Packer;
use crate::staging::{Accepted, Batch, InCommit};

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
    /// A batch that is committed; the next one takes its memory.
    pub spare: Option<Batch>,
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
            spare: None,
            duplicates: 0,
            repetitions: Repetitions::default(),
            far_timestamps: 0,
        }
    }

    /// Usage is refused, and nothing committed, while the index does not hold the whole log.
    pub(crate) fn assert_caught_up(&self) -> Result<()> {
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
    pub(crate) packer: Mutex<Packer>,
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
            packer: Mutex::new(Packer::new()?),
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

pub(crate) fn half_changed<T>(_: PoisonError<T>) -> CoreError {
    CoreError::Corruption("the metering core stopped inside a change; restart from the log".into())
}
