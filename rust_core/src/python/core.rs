//! `Core`, `Ingest` and `Sealed` for Python; documented in `_core.pyi`.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::advance::{self, PendingRow};
use super::charges::{self, ChargeArgument, KeepArgument, UsageRow};
use super::log_fold::{PyLogFold, PyRefold};
use super::repetitions::{difference, DifferenceRow, PyComparison};
use super::{hash_bytes, head_tuple, id_bytes, slices, Hash32, Id16};
use crate::advance::Place;
use crate::chain::{CommitHead, Head};
use crate::charge::Charge;
use crate::commit::{Fact, Sealed};
use crate::core::{Answer, Core};
use crate::dedup::Index;
use crate::error::Result;
use crate::keep::Days;
use crate::log_fold::LogFold;
use crate::org_index::ALWAYS;
use crate::reading::Period;
use crate::registry::SubscriptionSpec;

/// Below this, giving up the GIL costs more than the work: another thread may keep it for milliseconds.
const SMALL_BODY_BYTES: usize = 4 * 1024;

#[pyclass(frozen, name = "Ingest", module = "lago_engine._core")]
pub(super) struct PyIngest {
    #[pyo3(get)]
    status: u16,
    #[pyo3(get)]
    batch: u64,
    #[pyo3(get)]
    wait_for: Py<PyTuple>,
    #[pyo3(get)]
    count: usize,
    #[pyo3(get)]
    body: Py<PyBytes>,
}

impl PyIngest {
    fn new(py: Python<'_>, answer: &Answer) -> PyResult<Self> {
        Ok(Self {
            status: answer.status,
            batch: answer.wait_for.last().copied().unwrap_or(0),
            wait_for: PyTuple::new(py, &answer.wait_for)?.unbind(),
            count: answer.count,
            body: PyBytes::new(py, &answer.body).unbind(),
        })
    }
}

#[pyclass(frozen, name = "Sealed", module = "lago_engine._core")]
pub(super) struct PySealed {
    #[pyo3(get)]
    batch: u64,
    #[pyo3(get)]
    commit_seq: u64,
    #[pyo3(get)]
    commit_hash: Py<PyBytes>,
    #[pyo3(get)]
    versions: Vec<u64>,
    #[pyo3(get)]
    hashes: Vec<Py<PyBytes>>,
    #[pyo3(get)]
    segment: Option<Py<PyBytes>>,
    #[pyo3(get)]
    segment_no: u64,
    #[pyo3(get)]
    usage_events: usize,
}

impl PySealed {
    fn new(py: Python<'_>, sealed: &Sealed) -> Self {
        let hash = |head: &Head| hash_bytes(py, &head.hash).unbind();
        let segment = sealed.segment.as_ref();
        Self {
            batch: sealed.batch,
            commit_seq: sealed.commit_seq,
            commit_hash: hash_bytes(py, &sealed.commit_hash).unbind(),
            versions: sealed.facts.iter().map(|head| head.version).collect(),
            hashes: sealed.facts.iter().map(hash).collect(),
            segment: segment.map(|bytes| PyBytes::new(py, bytes).unbind()),
            segment_no: sealed.segment_no,
            usage_events: sealed.usage_events,
        }
    }
}

#[pyclass(frozen, name = "Core", module = "lago_engine._core")]
pub(super) struct PyCore(pub(super) Core);

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyCore {
    #[new]
    #[pyo3(signature = (secret, max_batch = 100, index = None))]
    fn new(
        py: Python<'_>,
        secret: Id16,
        max_batch: usize,
        index: Option<PathBuf>,
    ) -> PyResult<Self> {
        let core = py.detach(|| Core::new(secret.id(), max_batch, index.as_deref()))?;
        Ok(Self(core))
    }

    #[staticmethod]
    fn remove_index(index: PathBuf) -> PyResult<()> {
        Ok(Index::remove(&index)?)
    }

    #[staticmethod]
    #[pyo3(signature = (secret, snapshot, max_batch = 100, index = None))]
    fn restore(
        py: Python<'_>,
        secret: Id16,
        snapshot: PyBackedBytes,
        max_batch: usize,
        index: Option<PathBuf>,
    ) -> PyResult<Self> {
        let core =
            py.detach(|| Core::restore(secret.id(), max_batch, index.as_deref(), &snapshot))?;
        Ok(Self(core))
    }

    #[pyo3(signature = (org, body, single, now_us, partial = false))]
    fn ingest(
        &self,
        py: Python<'_>,
        org: Id16,
        body: PyBackedBytes,
        single: bool,
        now_us: i64,
        partial: bool,
    ) -> PyResult<PyIngest> {
        let ingest = || match (single, partial) {
            (false, true) => self.0.ingest_partial(org.id(), &body, now_us),
            _ => self.0.ingest(org.id(), &body, single, now_us),
        };
        let answer = if body.len() < SMALL_BODY_BYTES {
            ingest()?
        } else {
            py.detach(ingest)?
        };
        PyIngest::new(py, &answer)
    }

    fn seal(
        &self,
        py: Python<'_>,
        recorded_at_us: i64,
        facts: Vec<(Id16, PyBackedStr, PyBackedBytes)>,
    ) -> PyResult<PySealed> {
        let sealed = py.detach(|| {
            let facts: Vec<Fact<'_>> = facts
                .iter()
                .map(|(stream, topic, body)| Fact {
                    stream: stream.id(),
                    topic,
                    body,
                })
                .collect();
            self.0.seal(recorded_at_us, &facts)
        })?;
        Ok(PySealed::new(py, &sealed))
    }

    fn confirm(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.confirm())?)
    }

    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.rollback())?)
    }

    #[pyo3(signature = (plan_key, charges, in_advance = Vec::new(), kept = Vec::new()))]
    fn put_plan(
        &self,
        plan_key: Id16,
        charges: Vec<ChargeArgument>,
        in_advance: Vec<Id16>,
        kept: Vec<KeepArgument>,
    ) -> PyResult<()> {
        let marked = |charge: &Charge| in_advance.iter().any(|id| id.id() == charge.id);
        let plan = charges.iter().map(|given| {
            let charge = charges::keeping(charges::charge(given)?, &kept)?;
            if marked(&charge) {
                charge.paid_in_advance()
            } else {
                Ok(charge)
            }
        });
        let plan = plan.collect::<Result<_>>()?;
        Ok(self.0.lock()?.registry.put_plan(plan_key.id(), plan)?)
    }

    fn put_metric(
        &self,
        org: Id16,
        code: &str,
        field_name: Option<&str>,
        expression: Option<&str>,
    ) -> PyResult<()> {
        let computation = field_name.zip(expression);
        Ok(self.0.metrics.put(org.id(), code, computation)?)
    }

    #[allow(clippy::too_many_arguments)] // Fields of one struct; a Python class for it would be built per call.
    fn put_subscription(
        &self,
        subscription_id: Id16,
        org: Id16,
        external_id: PyBackedStr,
        stream_id: Id16,
        plan_key: Id16,
        started_at_us: i64,
        terminated_at_us: Option<i64>,
    ) -> PyResult<()> {
        let spec = SubscriptionSpec {
            id: subscription_id.id(),
            org: org.id(),
            external_key: self
                .0
                .fingerprinter
                .external_key(org.id(), external_id.as_bytes()),
            stream: stream_id.id(),
            plan_key: plan_key.id(),
            started_at_us,
            terminated_at_us,
        };
        let mut state = self.0.lock()?;
        let segment_no = state.log.segment_no;
        Ok(state.registry.put_subscription(spec, segment_no)?)
    }

    fn open_window(&self, subscription_id: Id16, from_us: i64, to_us: i64) -> PyResult<bool> {
        let mut state = self.0.lock()?;
        let segment_no = state.log.segment_no;
        let bounds = (from_us, to_us);
        Ok(state
            .registry
            .open_window(subscription_id.id(), bounds, segment_no)?)
    }

    fn needed_segments(&self, subscription_id: Id16) -> PyResult<Vec<u64>> {
        let state = self.0.lock()?;
        let key = state.registry.external_key(subscription_id.id())?;
        Ok(state.log.segments_of(state.registry.streams_of(key)))
    }

    fn fold_window(
        &self,
        py: Python<'_>,
        subscription_id: Id16,
        from_us: i64,
        to_us: i64,
        segments: Vec<PyBackedBytes>,
    ) -> PyResult<bool> {
        let bounds = (from_us, to_us);
        Ok(py.detach(|| {
            self.0
                .fold_window(subscription_id.id(), bounds, &slices(&segments))
        })?)
    }

    fn begin_refold(
        &self,
        subscription_id: Id16,
        from_us: i64,
        to_us: i64,
    ) -> PyResult<Option<PyRefold>> {
        let running = self
            .0
            .begin_refold(subscription_id.id(), (from_us, to_us))?;
        Ok(running.map(PyRefold::new))
    }

    fn is_incomplete(&self, subscription_id: Id16, from_us: i64, to_us: i64) -> PyResult<bool> {
        let state = self.0.lock()?;
        Ok(state
            .registry
            .is_incomplete(subscription_id.id(), (from_us, to_us))?)
    }

    fn take_incomplete<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, i64, i64)>> {
        let windows = self.0.lock()?.registry.take_incomplete().into_iter();
        Ok(windows
            .map(|(id, (from_us, to_us))| (id_bytes(py, id), from_us, to_us))
            .collect())
    }

    fn finish_refold(&self, py: Python<'_>, refold: &PyRefold) -> PyResult<bool> {
        let running = refold.take()?;
        Ok(py.detach(|| self.0.finish_refold(running))?)
    }

    /// streams: the fold may skip all others.
    #[pyo3(signature = (streams = None))]
    fn log_fold(&self, streams: Option<Vec<Id16>>) -> PyLogFold {
        let streams = streams.map(|streams| streams.iter().map(Id16::id).collect());
        PyLogFold::new(LogFold::new(self.0.fingerprinter.clone(), streams))
    }

    fn streams_of<'py>(
        &self,
        py: Python<'py>,
        org: Id16,
        external_subscription_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let fingerprinter = &self.0.fingerprinter;
        let key = fingerprinter.external_key(org.id(), external_subscription_id.as_bytes());
        let streams: Vec<_> = {
            let state = self.0.lock()?;
            let streams = state.registry.streams_of(key).iter();
            streams.map(|&index| state.log.stream_id(index)).collect()
        };
        Ok(streams.into_iter().map(|id| id_bytes(py, id)).collect())
    }

    fn close_window(&self, subscription_id: Id16, from_us: i64, to_us: i64) -> PyResult<()> {
        let mut state = self.0.lock()?;
        Ok(state
            .registry
            .close_window(subscription_id.id(), (from_us, to_us))?)
    }

    #[pyo3(signature = (subscription_id, from_us, to_us, period = None, day_starts = None))]
    fn read_window<'py>(
        &self,
        py: Python<'py>,
        subscription_id: Id16,
        from_us: i64,
        to_us: i64,
        period: Option<(i64, u32)>,
        day_starts: Option<Vec<i64>>,
    ) -> PyResult<Option<Vec<UsageRow<'py>>>> {
        let period = Period {
            length: period,
            days: day_starts.as_deref().map(Days),
        };
        // The lock is gone before Python objects are made: making them may run other Python code.
        let usage =
            self.0
                .lock()?
                .registry
                .read_window(subscription_id.id(), (from_us, to_us), period)?;
        let rows = usage.map(|usage| usage.into_iter().map(|usage| charges::row(py, usage)));
        rows.map(Iterator::collect).transpose()
    }

    fn pending_subscriptions<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let waiting = self.0.lock()?.registry.pending_subscriptions(limit);
        Ok(waiting.into_iter().map(|id| id_bytes(py, id)).collect())
    }

    #[pyo3(signature = (subscription_id, after, limit))]
    fn pending_usage<'py>(
        &self,
        py: Python<'py>,
        subscription_id: Id16,
        after: Option<Place>,
        limit: usize,
    ) -> PyResult<Vec<PendingRow<'py>>> {
        let state = self.0.lock()?;
        let pending = state.registry.pending(subscription_id.id(), after, limit)?;
        drop(state);
        advance::rows(py, pending)
    }

    fn drop_pending(&self, subscription_id: Id16, until: Place) -> PyResult<()> {
        let mut state = self.0.lock()?;
        Ok(state.registry.drop_pending(subscription_id.id(), until)?)
    }

    fn trace_window(
        &self,
        py: Python<'_>,
        subscription_id: Id16,
        from_us: i64,
        to_us: i64,
        segments: Vec<PyBackedBytes>,
    ) -> PyResult<()> {
        let bounds = (from_us, to_us);
        Ok(py.detach(|| {
            self.0
                .trace_window(subscription_id.id(), bounds, &slices(&segments))
        })?)
    }

    #[allow(clippy::too_many_arguments)] // The window and the event.
    fn probe_window<'py>(
        &self,
        py: Python<'py>,
        subscription_id: Id16,
        from_us: i64,
        to_us: i64,
        event: PyBackedBytes,
        timestamp_us: i64,
    ) -> PyResult<Option<Vec<PendingRow<'py>>>> {
        let bounds = (from_us, to_us);
        let records = self
            .0
            .probe_window(subscription_id.id(), bounds, &event, timestamp_us)?;
        records
            .map(|records| advance::rows(py, records))
            .transpose()
    }

    fn apply_fact(&self, stream_id: Id16, version: u64, hash: Hash32) -> PyResult<()> {
        let head = Head {
            version,
            hash: hash.0,
        };
        Ok(self
            .0
            .apply_facts(std::iter::once((stream_id.id(), head)))?)
    }

    fn apply_facts(&self, entries: Vec<(Id16, u64, Hash32)>) -> PyResult<()> {
        let heads = entries.into_iter().map(|(stream, version, hash)| {
            let head = Head {
                version,
                hash: hash.0,
            };
            (stream.id(), head)
        });
        Ok(self.0.apply_facts(heads)?)
    }

    fn apply_segment(&self, py: Python<'_>, segment: PyBackedBytes) -> PyResult<()> {
        Ok(py.detach(|| self.0.apply_segment(&segment))?)
    }

    fn apply_usage(
        &self,
        py: Python<'_>,
        commits: Vec<(PyBackedBytes, u64, Hash32)>,
    ) -> PyResult<()> {
        py.detach(|| {
            let commits = commits.iter().map(|(segment, seq, hash)| {
                let (seq, hash) = (*seq, hash.0);
                (segment.as_ref(), CommitHead { seq, hash })
            });
            self.0.apply_usage(&commits.collect::<Vec<_>>())
        })?;
        Ok(())
    }

    fn apply_commit(&self, seq: u64, hash: Hash32) -> PyResult<()> {
        Ok(self.0.apply_commit(seq, hash.0)?)
    }

    fn catch_up(
        &self,
        py: Python<'_>,
        seq: u64,
        hash: Hash32,
        segment: Option<PyBackedBytes>,
    ) -> PyResult<()> {
        let commit = CommitHead { seq, hash: hash.0 };
        Ok(py.detach(|| self.0.catch_up(commit, segment.as_deref()))?)
    }

    fn spill(&self, py: Python<'_>, at_least: u64) -> PyResult<bool> {
        Ok(py.detach(|| self.0.spill(at_least))?)
    }

    fn merge(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.merge())?)
    }

    fn pretend(&self, py: Python<'_>, keys: u64) -> PyResult<()> {
        Ok(py.detach(|| self.0.pretend(keys))?)
    }

    #[getter]
    fn index_head<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let commit = self.0.lock()?.dedup.position().commit;
        Ok((commit.seq, hash_bytes(py, &commit.hash)))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let snapshot = py.detach(|| self.0.snapshot())?;
        Ok(PyBytes::new(py, &snapshot))
    }

    fn head<'py>(&self, py: Python<'py>, stream_id: Id16) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let head = self.0.lock()?.log.head(stream_id.id());
        Ok(head_tuple(py, head))
    }

    fn segments_of(&self, org: Id16, external_subscription_id: &str) -> PyResult<Vec<u64>> {
        let fingerprinter = &self.0.fingerprinter;
        let key = fingerprinter.external_key(org.id(), external_subscription_id.as_bytes());
        let state = self.0.lock()?;
        Ok(state.log.segments_of(state.registry.streams_of(key)))
    }

    #[pyo3(signature = (org, from_us = None, to_us = None, received_from_us = None, received_to_us = None))]
    fn segments_of_org(
        &self,
        org: Id16,
        from_us: Option<i64>,
        to_us: Option<i64>,
        received_from_us: Option<i64>,
        received_to_us: Option<i64>,
    ) -> PyResult<Vec<u64>> {
        let span =
            |from: Option<i64>, to: Option<i64>| (from.unwrap_or(ALWAYS.0), to.unwrap_or(ALWAYS.1));
        let (timestamps, received) = (span(from_us, to_us), span(received_from_us, received_to_us));
        let state = self.0.lock()?;
        Ok(state.log.orgs.segments(org.id(), timestamps, received))
    }

    fn take_repetitions(&self) -> PyResult<Option<PyComparison>> {
        Ok(self.0.take_repetitions()?.map(PyComparison::new))
    }

    fn settle_repetitions<'py>(
        &self,
        py: Python<'py>,
        comparison: Option<&PyComparison>,
    ) -> PyResult<Vec<DifferenceRow<'py>>> {
        let found = match comparison {
            Some(comparison) => self.0.settle_repetitions(&comparison.lock()),
            None => self.0.take_differences(),
        };
        Ok(found?
            .into_iter()
            .map(|each| difference(py, each))
            .collect())
    }

    fn all_segments(&self) -> PyResult<u64> {
        Ok(self.0.lock()?.log.segment_no)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = PyDict::new(py);
        for (name, value) in self.0.stats()? {
            figures.set_item(name, value)?;
        }
        Ok(figures)
    }

    #[getter]
    fn staged_bytes(&self) -> usize {
        self.0.staged_bytes()
    }

    #[getter]
    fn pending_in_advance(&self) -> PyResult<usize> {
        Ok(self.0.lock()?.registry.pending_count)
    }

    #[getter]
    fn open_batch(&self) -> PyResult<u64> {
        Ok(self.0.lock()?.open.number)
    }

    #[getter]
    fn commit_seq(&self) -> PyResult<u64> {
        Ok(self.0.lock()?.log.commit.seq)
    }

    #[getter]
    fn commit_hash<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let hash = self.0.lock()?.log.commit.hash;
        Ok(hash_bytes(py, &hash))
    }
}
