//! Charges as Python passes them, and bucket usage as it goes back; documented in `_core.pyi`.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyTuple};

use super::{id_bytes, Id16};
use crate::charge::{Charge, Filter};
use crate::error::{argument, Result};
use crate::fold::Aggregation;
use crate::reading::{BucketUsage, Level};

type FilterArgument = (Id16, Vec<(PyBackedStr, Vec<PyBackedStr>)>, Vec<PyBackedStr>);

pub(super) type ChargeArgument = (
    Id16,
    PyBackedStr,
    PyBackedStr,
    Option<PyBackedStr>,
    bool,
    Vec<PyBackedStr>,
    Vec<FilterArgument>,
);

pub(super) type LevelArgument = (Id16, Option<Id16>, Vec<Option<String>>, String);

pub(super) type UsageRow<'py> = (
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Bound<'py, PyTuple>,
    String,
    u64,
    Option<String>,
);

fn texts(all: &[PyBackedStr]) -> Vec<&str> {
    all.iter().map(|text| &**text).collect()
}

fn filter((id, values, group_keys): &FilterArgument) -> Result<Filter> {
    let values = values
        .iter()
        .map(|(key, accepted)| (&**key, texts(accepted)));
    Filter::new(id.id(), values, &texts(group_keys))
}

pub(super) fn charge(given: &ChargeArgument) -> Result<Charge> {
    let (id, metric_code, aggregation_type, field_name, recurring, group_keys, filters) = given;
    let Some(aggregation) = Aggregation::parse(aggregation_type) else {
        return argument(format!("unknown aggregation type {aggregation_type}"));
    };
    let field_name = field_name.as_deref();
    let charge = Charge::new(id.id(), metric_code, aggregation, field_name, *recurring)?;
    let filters: Result<Vec<Filter>> = filters.iter().map(filter).collect();
    Ok(charge.split(&texts(group_keys), filters?))
}

pub(super) fn level((charge, filter, group, value): &LevelArgument) -> Result<Level> {
    Level::new(charge.id(), filter.as_ref().map(Id16::id), group, value)
}

pub(super) fn row(py: Python<'_>, usage: BucketUsage) -> PyResult<UsageRow<'_>> {
    Ok((
        id_bytes(py, usage.charge),
        usage.filter.map(|filter| id_bytes(py, filter)),
        PyTuple::new(py, usage.group)?,
        usage.units,
        usage.events_count,
        usage.total_aggregated_units,
    ))
}
