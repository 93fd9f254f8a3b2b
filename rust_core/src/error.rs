//! The one error type of the crate; the Python glue maps it to the exception tree.

/// Why a call could not be carried out. Refused usage events are answers, not errors.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// Stored bytes are not what was written; the message says where.
    #[error("{0}")]
    Corruption(String),
    /// The index of fingerprints cannot be used; it can be made again from the log.
    #[error("{0}")]
    Index(String),
    /// A caller passed something that can never be right.
    #[error("{0}")]
    Argument(String),
    /// A call came at the wrong moment, such as a second `seal` before `confirm`.
    #[error("{0}")]
    State(&'static str),
    /// The index of fingerprints could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A length or counter does not fit its field.
    #[error("{0} is too large")]
    Overflow(&'static str),
}

pub type Result<T> = std::result::Result<T, CoreError>;

impl CoreError {
    /// Damage that was met in the index.
    pub fn in_index(self) -> Self {
        match self {
            Self::Corruption(message) => Self::Index(message),
            other => other,
        }
    }
}

pub fn corrupt<T>(message: impl Into<String>) -> Result<T> {
    Err(CoreError::Corruption(message.into()))
}

pub fn argument<T>(message: impl Into<String>) -> Result<T> {
    Err(CoreError::Argument(message.into()))
}
