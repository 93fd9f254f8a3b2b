//! `Expression` for Python; documented in `_core.pyi`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::expression::{Expression, Subject};
use crate::json::{self, Kind, Scanner};

#[pyclass(frozen, name = "Expression", module = "lago_engine._core")]
pub(super) struct PyExpression(Expression);

#[pymethods]
impl PyExpression {
    #[new]
    fn new(text: &str) -> PyResult<Self> {
        match Expression::parse(text) {
            Ok(expression) => Ok(Self(expression)),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    fn evaluate(
        &self,
        code: &str,
        timestamp_us: i64,
        properties: &[u8],
    ) -> PyResult<(Option<String>, Option<String>)> {
        let root = json::document(properties, Scanner::value);
        let Some(object) = root.ok().filter(|root| root.kind == Kind::Object) else {
            return Err(PyValueError::new_err("properties are no JSON object"));
        };
        let subject = Subject {
            code: code.as_bytes(),
            timestamp_us,
            properties: object.raw,
        };
        Ok(match self.0.evaluate(&subject) {
            Ok(value) => (Some(value.to_string()), None),
            Err(error) => (None, Some(error.to_string())),
        })
    }
}
