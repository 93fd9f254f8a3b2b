//! The expression language of billable metrics (metrics.md §5): a formula per event, over exact decimals and texts.

mod evaluate;
mod parse;

pub use evaluate::{EvaluationError, Subject, Value};
pub use parse::{ParseError, DEPTH_MAX, EXPRESSION_BYTES_MAX};

use crate::decimal::{Decimal, Rounding};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// Operations of equal precedence, from left to right.
    Chain(Box<Node>, Vec<(Operator, Node)>),
    Negative(Box<Node>),
    Number(Decimal),
    Text(String),
    Timestamp,
    Code,
    Property(String),
    Rounded(Rounding, Box<Node>, Option<Box<Node>>),
    Concat(Vec<Node>),
    Least(Vec<Node>),
    Greatest(Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Times,
    Over,
}
