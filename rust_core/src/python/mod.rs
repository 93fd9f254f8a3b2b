//! The Python face of the core: argument types, errors and the module.

mod advance;
mod charges;
mod core;
mod expression;
mod log_fold;
mod readers;
mod repetitions;
mod usage_errors;

use pyo3::exceptions::{PyOSError, PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::chain::{Head, USAGE_TOPIC};
use crate::error::CoreError;
use crate::id::Id;
use crate::wire::Hash;

mod errors {
    pyo3::import_exception!(lago_engine.errors, CorruptionError);
    pyo3::import_exception!(lago_engine.errors, IndexDamaged);
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        let message = error.to_string();
        match error {
            CoreError::Corruption(_) => errors::CorruptionError::new_err(message),
            CoreError::Index(_) => errors::IndexDamaged::new_err(message),
            CoreError::Argument(_) => PyValueError::new_err(message),
            CoreError::State(_) => PyRuntimeError::new_err(message),
            CoreError::Io(_) => PyOSError::new_err(message),
            CoreError::Overflow(_) => PyOverflowError::new_err(message),
        }
    }
}

/// Exactly `N` bytes of a Python `bytes` object.
struct Fixed<const N: usize>([u8; N]);

impl<const N: usize> FromPyObject<'_, '_> for Fixed<N> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let bytes = object.cast::<PyBytes>()?;
        match bytes.as_bytes().try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(PyValueError::new_err(format!("expected {N} bytes"))),
        }
    }
}

type Id16 = Fixed<16>;
type Hash32 = Fixed<32>;

impl Id16 {
    fn id(&self) -> Id {
        Id::from_be_bytes(self.0)
    }
}

fn id_bytes(py: Python<'_>, id: Id) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &id.to_be_bytes())
}

fn hash_bytes<'py>(py: Python<'py>, hash: &Hash) -> Bound<'py, PyBytes> {
    PyBytes::new(py, hash)
}

fn head_tuple(py: Python<'_>, head: Head) -> (u64, Bound<'_, PyBytes>) {
    (head.version, hash_bytes(py, &head.hash))
}

fn slices(all: &[PyBackedBytes]) -> Vec<&[u8]> {
    all.iter().map(AsRef::as_ref).collect()
}

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::core::{PyCore, PyIngest, PySealed};
    #[pymodule_export]
    use super::expression::PyExpression;
    #[pymodule_export]
    use super::log_fold::{PyLogFold, PyRefold};
    #[pymodule_export]
    use super::readers::{PyChainVerifier, PyEventScan};
    #[pymodule_export]
    use super::repetitions::PyComparison;
    #[pymodule_export]
    use super::usage_errors::PyUsageErrors;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let profile = if cfg!(debug_assertions) {
            "dev"
        } else {
            "release"
        };
        module.add("BUILD_PROFILE", profile)?;
        module.add("USAGE_TOPIC", super::USAGE_TOPIC)
    }
}
