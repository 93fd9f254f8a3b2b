//! `UsageErrors` for Python; documented in `_core.pyi`.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::Id16;
use crate::usage_errors::{HourErrors, MetricRule, UsageErrors};

/// (code, aggregation type, field name, (key, values) of the filters)
type MetricArgument = (String, String, Option<String>, Vec<(String, Vec<String>)>);
/// (hour, `invalid_code`, `missing_aggregation_property`, `invalid_filter_values`, cut)
type HourRow = (i64, Vec<String>, Vec<String>, Vec<String>, bool);

fn row(hour: HourErrors) -> HourRow {
    (
        hour.hour_us,
        hour.invalid_code,
        hour.missing_aggregation_property,
        hour.invalid_filter_values,
        hour.cut,
    )
}

/// None once it is finished.
#[pyclass(frozen, name = "UsageErrors", module = "lago_engine._core")]
pub(super) struct PyUsageErrors(Mutex<Option<UsageErrors>>);

fn finished() -> PyErr {
    PyRuntimeError::new_err("the scan is finished")
}

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyUsageErrors {
    #[new]
    fn new(
        org: Id16,
        received_from_us: i64,
        received_to_us: i64,
        metrics: Vec<MetricArgument>,
    ) -> Self {
        let rules = metrics
            .into_iter()
            .map(|(code, aggregation, field, filters)| {
                let rule = MetricRule::new(&aggregation, field.as_deref(), &filters);
                (code, rule)
            });
        let received = (received_from_us, received_to_us);
        let errors = UsageErrors::new(org.id(), received, rules.collect());
        Self(Mutex::new(Some(errors)))
    }

    fn feed(&self, py: Python<'_>, segment: PyBackedBytes) -> PyResult<()> {
        py.detach(|| {
            let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(errors.as_mut().ok_or_else(finished)?.feed(&segment)?)
        })
    }

    fn finish(&self) -> PyResult<Vec<HourRow>> {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = errors.take().ok_or_else(finished)?;
        Ok(errors.finish().into_iter().map(row).collect())
    }
}
