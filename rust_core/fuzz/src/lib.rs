//! What must hold for any input, however broken. A target is a function that panics when it does not.
//!
//! `make fuzz` drives them by coverage (libFuzzer); `cargo test` runs the committed corpus and a bounded number of its mutations.

mod body;
mod expression;

pub use body::check_body;
pub use expression::check_expression;
