//! `LogFold` and `Refold` for Python; documented in `_core.pyi`.

use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

use super::charges::{self, ChargeArgument, KeepArgument, UsageRow};
use super::core::PyCore;
use super::{slices, Id16};
use crate::error::{argument, CoreError, Result};
use crate::keep::Days;
use crate::log_fold::{Conditions, LogFold, Selection};
use crate::plan::Plan;
use crate::reading::Period;
use crate::refold::RunningRefold;
use crate::window::Span;

struct Folding {
    plans: Vec<Arc<Plan>>,
    fold: LogFold,
}

#[pyclass(frozen, name = "LogFold", module = "lago_engine._core")]
pub(super) struct PyLogFold(Mutex<Folding>);

impl PyLogFold {
    pub(super) fn new(fold: LogFold) -> Self {
        let plans = Vec::new();
        Self(Mutex::new(Folding { plans, fold }))
    }

    /// A panic inside a fold leaves half a segment behind.
    fn lock(&self) -> Result<MutexGuard<'_, Folding>> {
        let broken = |_| CoreError::State("the fold stopped inside a segment");
        self.0.lock().map_err(broken)
    }
}

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyLogFold {
    #[pyo3(signature = (charges, kept = Vec::new()))]
    fn plan(&self, charges: Vec<ChargeArgument>, kept: Vec<KeepArgument>) -> PyResult<usize> {
        let charges = charges.iter();
        let charges: Result<Vec<_>> = charges
            .map(|given| charges::keeping(charges::charge(given)?, &kept))
            .collect();
        let mut folding = self.lock()?;
        folding.plans.push(Arc::new(Plan::new(charges?)));
        Ok(folding.plans.len() - 1)
    }

    #[allow(clippy::too_many_arguments)] // As in `PyCore::put_subscription`.
    #[pyo3(signature = (core, org, external_id, from_us, to_us, plan, only = Vec::new()))]
    fn add(
        &self,
        core: &PyCore,
        org: Id16,
        external_id: &str,
        from_us: i64,
        to_us: i64,
        plan: usize,
        only: Vec<(PyBackedStr, Vec<PyBackedStr>)>,
    ) -> PyResult<usize> {
        let fingerprinter = &core.0.fingerprinter;
        let key = fingerprinter.external_key(org.id(), external_id.as_bytes());
        let only = only.iter();
        let only = only.map(|(name, texts)| (&**name, texts.iter().map(|text| &**text).collect()));
        let only = Conditions::new(only);
        let mut folding = self.lock()?;
        let Some(plan) = folding.plans.get(plan).map(Arc::clone) else {
            return Ok(argument("no such plan")?);
        };
        let selection = Selection::new(key, plan, Span::new(from_us, to_us), only);
        Ok(folding.fold.add(selection)?)
    }

    fn add_streams(&self, streams: Vec<Id16>) -> PyResult<()> {
        let streams = streams.iter().map(Id16::id);
        self.lock()?.fold.add_streams(streams);
        Ok(())
    }

    #[pyo3(signature = (segments, parallel = false))]
    fn feed(&self, py: Python<'_>, segments: Vec<PyBackedBytes>, parallel: bool) -> PyResult<()> {
        let segments = slices(&segments);
        Ok(py.detach(|| {
            let fold = &mut self.lock()?.fold;
            if parallel {
                fold.feed_in_parallel(&segments)
            } else {
                fold.feed(&segments)
            }
        })?)
    }

    #[getter]
    fn fed(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.lock().map(|folding| folding.fold.fed()))?)
    }

    #[pyo3(signature = (selection, period = None, day_starts = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        selection: usize,
        period: Option<(i64, u32)>,
        day_starts: Option<Vec<i64>>,
    ) -> PyResult<Vec<UsageRow<'py>>> {
        let period = Period {
            length: period,
            days: day_starts.as_deref().map(Days),
        };
        let usage = py.detach(|| self.lock()?.fold.read(selection, period))?;
        let rows = usage.into_iter().map(|usage| charges::row(py, usage));
        rows.collect()
    }
}

#[pyclass(frozen, name = "Refold", module = "lago_engine._core")]
pub(super) struct PyRefold(Mutex<Option<RunningRefold>>);

impl PyRefold {
    pub(super) fn new(running: RunningRefold) -> Self {
        Self(Mutex::new(Some(running)))
    }

    pub(super) fn take(&self) -> PyResult<RunningRefold> {
        self.lock()?.take().ok_or_else(finished)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<RunningRefold>>> {
        let broken = |_| CoreError::State("the fold stopped inside a segment");
        self.0.lock().map_err(broken)
    }
}

fn finished() -> PyErr {
    PyRuntimeError::new_err("the refold is finished")
}

#[pymethods]
#[allow(clippy::needless_pass_by_value)] // Extracted arguments are owned.
impl PyRefold {
    #[getter]
    fn needed(&self) -> PyResult<Vec<u64>> {
        let guard = self.lock()?;
        let running = guard.as_ref().ok_or_else(finished)?;
        Ok(running.needed().collect())
    }

    fn feed(&self, py: Python<'_>, segments: Vec<PyBackedBytes>) -> PyResult<()> {
        py.detach(|| match self.lock()?.as_mut() {
            Some(running) => Ok(running.feed(&slices(&segments))?),
            None => Err(finished()),
        })
    }
}
