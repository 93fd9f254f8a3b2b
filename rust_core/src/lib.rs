//! Metering core of `lago_engine`: usage events in, durable records and usage totals out.
//!
//! `parse` (`json`, `request`, `event`) → `dedup` → `staging` → `commit` (`record`, `segment`, `chain`) →
//! `registry` (`window`, `plan`, `bucket`, `cell`, `fold`, `keep`) → `reading`; what is billed at once goes through `advance`.
//! `recovery`, `snapshot`, `refold`, `log_fold`, `verify`, `scan`, `usage_errors` and `repetition` read the log back.
//! Only `python` knows of Python.

pub mod advance;
pub mod answer;
pub mod assign;
pub mod bucket;
pub mod cell;
pub mod chain;
pub mod charge;
pub mod commit;
pub mod computed;
pub mod core;
pub mod decimal;
pub mod dedup;
pub mod error;
pub mod event;
pub mod expression;
pub mod fingerprint;
pub mod fold;
pub mod group;
pub mod id;
pub mod ingest;
pub mod json;
pub mod keep;
pub mod log;
pub mod log_fold;
pub mod org_index;
pub mod part;
pub mod partial;
pub mod payload;
pub mod plan;
pub mod property;
#[cfg(feature = "python")]
mod python;
pub mod read_back;
pub mod reading;
pub mod record;
pub mod recovery;
pub mod refold;
pub mod registry;
pub mod repetition;
pub mod request;
pub mod scan;
pub mod sealing;
pub mod segment;
pub mod snapshot;
pub mod staging;
pub mod timestamp;
pub mod trace;
pub mod usage_errors;
pub mod verify;
pub mod window;
pub mod wire;
