//! Charges as Python passes them, and bucket usage as it goes back; documented in `_core.pyi`.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyTuple};

use super::{id_bytes, Id16};
use crate::charge::{Charge, Filter};
use crate::decimal::Decimal;
use crate::error::{argument, Result};
use crate::fold::Aggregation;
use crate::keep::{Keep, KeptUsage, Prorated};
use crate::reading::BucketUsage;

type FilterArgument = (Id16, Vec<(PyBackedStr, Vec<PyBackedStr>)>, Vec<PyBackedStr>);

/// What the buckets of a charge keep beside totals: values, changes, amounts, presentation keys.
pub(super) type KeepArgument = (Id16, bool, bool, bool, Vec<PyBackedStr>);

pub(super) type ChargeArgument = (
    Id16,
    PyBackedStr,
    PyBackedStr,
    Option<PyBackedStr>,
    bool,
    Vec<PyBackedStr>,
    Vec<FilterArgument>,
);

pub(super) type UsageRow<'py> = (
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Bound<'py, PyTuple>,
    String,
    u64,
    Option<String>,
    Option<KeptRow<'py>>,
);

type ProratedRow = (String, Vec<(String, u32)>);

type KeptRow<'py> = (
    Vec<(String, u64)>,
    Option<ProratedRow>,
    Option<String>,
    Vec<(Bound<'py, PyTuple>, String)>,
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

/// The charge with what it is asked to keep.
pub(super) fn keeping(charge: Charge, asked: &[KeepArgument]) -> Result<Charge> {
    let mine = asked.iter().find(|(id, ..)| id.id() == charge.id);
    let Some((_, values, changes, amounts, presentation_keys)) = mine else {
        return Ok(charge);
    };
    let keep = Keep {
        values: *values,
        changes: *changes,
        amounts: *amounts,
        ..Keep::default()
    };
    charge.keeping(keep, &texts(presentation_keys))
}

pub(super) fn row(py: Python<'_>, usage: BucketUsage) -> PyResult<UsageRow<'_>> {
    let kept = usage.kept.map(|kept| kept_row(py, kept));
    Ok((
        id_bytes(py, usage.charge),
        usage.filter.map(|filter| id_bytes(py, filter)),
        PyTuple::new(py, usage.group)?,
        usage.units,
        usage.events_count,
        usage.total_aggregated_units,
        kept.transpose()?,
    ))
}

fn kept_row(py: Python<'_>, kept: KeptUsage) -> PyResult<KeptRow<'_>> {
    let values = kept.values.iter();
    let breakdown = kept.breakdown.into_iter().map(|(tuple, units)| {
        let tuple = PyTuple::new(py, tuple)?;
        Ok((tuple, units.to_string()))
    });
    Ok((
        values
            .map(|(value, times)| (value.to_string(), *times))
            .collect(),
        kept.prorated.as_ref().map(prorated_row),
        kept.amount.as_ref().map(Decimal::to_string),
        breakdown.collect::<PyResult<_>>()?,
    ))
}

fn prorated_row(prorated: &Prorated) -> ProratedRow {
    let steps = prorated.steps.iter();
    (
        prorated.carried.to_string(),
        steps
            .map(|step| (step.units.to_string(), step.days))
            .collect(),
    )
}
