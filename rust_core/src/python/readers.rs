//! `ChainVerifier` and `EventScan` for Python; documented in `_core.pyi`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use super::{hash_bytes, head_tuple, Hash32, Id16};
use crate::chain::Head;
use crate::scan::{EventScan, Filter};
use crate::verify::ChainVerifier;

/// A panic in a reader has been raised already; what it was reading is not shared state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pyclass(frozen, name = "ChainVerifier", module = "lago_engine._core")]
pub(super) struct PyChainVerifier(Mutex<ChainVerifier>);

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyChainVerifier {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(ChainVerifier::default()))
    }

    fn feed_fact(
        &self,
        stream_id: Id16,
        version: u64,
        topic: PyBackedStr,
        body: PyBackedBytes,
        hash: Hash32,
    ) -> PyResult<()> {
        let stored = Head {
            version,
            hash: hash.0,
        };
        Ok(lock(&self.0).feed_fact(stream_id.id(), stored, &topic, &body)?)
    }

    fn feed_segment(&self, py: Python<'_>, segment: PyBackedBytes) -> PyResult<()> {
        Ok(py.detach(|| lock(&self.0).feed_segment(&segment))?)
    }

    fn feed_commit(&self, recorded_at_us: i64, hash: Hash32) -> PyResult<()> {
        Ok(lock(&self.0).feed_commit(recorded_at_us, &hash.0)?)
    }

    fn head<'py>(&self, py: Python<'py>, stream_id: Id16) -> (u64, Bound<'py, PyBytes>) {
        head_tuple(py, lock(&self.0).head(stream_id.id()))
    }

    #[getter]
    fn commit_seq(&self) -> u64 {
        lock(&self.0).commit.seq
    }

    #[getter]
    fn commit_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        hash_bytes(py, &lock(&self.0).commit.hash)
    }

    #[getter]
    fn usage_events(&self) -> u64 {
        lock(&self.0).usage_events
    }
}

/// None once it is finished.
#[pyclass(frozen, name = "EventScan", module = "lago_engine._core")]
pub(super) struct PyEventScan(Mutex<Option<EventScan>>);

fn finished() -> PyErr {
    PyRuntimeError::new_err("the scan is finished")
}

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyEventScan {
    #[new]
    #[pyo3(signature = (org, *, code = None, external_subscription_id = None, transaction_id = None,
                        from_us = None, to_us = None, offset = 0, limit = 100, as_sent = false))]
    #[allow(clippy::too_many_arguments)] // The query parameters.
    fn new(
        org: Id16,
        code: Option<String>,
        external_subscription_id: Option<String>,
        transaction_id: Option<String>,
        from_us: Option<i64>,
        to_us: Option<i64>,
        offset: usize,
        limit: usize,
        as_sent: bool,
    ) -> Self {
        let filter = Filter {
            code,
            external_subscription_id,
            transaction_id,
            from_us,
            to_us,
            as_sent,
        };
        Self(Mutex::new(Some(EventScan::new(
            org.id(),
            filter,
            offset,
            limit,
        ))))
    }

    fn feed(&self, py: Python<'_>, segment: PyBackedBytes) -> PyResult<()> {
        py.detach(|| match lock(&self.0).as_mut() {
            Some(scan) => Ok(scan.feed(&segment)?),
            None => Err(finished()),
        })
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let scan = lock(&self.0).take().ok_or_else(finished)?;
        let (total, json) = py.detach(|| scan.finish())?;
        Ok((total, PyBytes::new(py, &json)))
    }
}
