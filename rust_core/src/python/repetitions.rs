//! `RepetitionCheck` for Python; documented in `_core.pyi`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::id_bytes;
use crate::repetition::{Comparison, Difference};

/// (organization, external subscription id, transaction id)
pub(super) type DifferenceRow<'py> = (Bound<'py, PyBytes>, String, String);

pub(super) fn difference(py: Python<'_>, found: Difference) -> DifferenceRow<'_> {
    let org = id_bytes(py, found.org);
    (org, found.external_subscription_id, found.transaction_id)
}

#[pyclass(frozen, name = "RepetitionCheck", module = "lago_engine._core")]
pub(super) struct PyComparison(Mutex<Comparison>);

impl PyComparison {
    pub(super) fn new(comparison: Comparison) -> Self {
        Self(Mutex::new(comparison))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Comparison> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyComparison {
    #[getter]
    fn segments(&self) -> Vec<u64> {
        self.lock().segments.clone()
    }

    fn feed(&self, py: Python<'_>, segment: PyBackedBytes) -> PyResult<bool> {
        py.detach(|| Ok(self.lock().feed(&segment)?))
    }
}
