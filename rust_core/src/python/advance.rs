//! Pending usage as it goes to Python; documented in `_core.pyi`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::id_bytes;
use crate::advance::{Pending, Place};

type ChangeRow = (i64, i64, String, String, u64);

pub(super) type PendingRow<'py> = (
    Place,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Bound<'py, PyTuple>,
    i64,
    String,
    Option<String>,
    Option<ChangeRow>,
);

pub(super) fn row(py: Python<'_>, pending: Pending) -> PyResult<PendingRow<'_>> {
    let change = pending.change.map(|change| {
        let (from_us, to_us) = change.bounds;
        let (delta, units) = (change.delta.to_string(), change.units.to_string());
        (from_us, to_us, delta, units, change.events_count)
    });
    Ok((
        pending.place,
        id_bytes(py, pending.charge),
        pending.filter.map(|filter| id_bytes(py, filter)),
        PyTuple::new(py, pending.group)?,
        pending.timestamp_us,
        pending.transaction_id,
        pending.precise_total_amount_cents,
        change,
    ))
}

pub(super) fn rows(py: Python<'_>, pending: Vec<Pending>) -> PyResult<Vec<PendingRow<'_>>> {
    pending.into_iter().map(|record| row(py, record)).collect()
}
