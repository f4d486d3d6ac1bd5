//! What a refused publish is to whoever asked over REST. Knows the bus by its errors alone.

use super::ApiError;
use crate::bus::PublishError;

impl ApiError {
    /// A refused publish of the body at `pointer` (`None`: the request's own body).
    pub(crate) fn from_publish(error: PublishError, pointer: Option<String>) -> Self {
        match error {
            PublishError::Unavailable => Self::BusUnavailable,
            PublishError::Unknown => Self::OutcomeUnknown,
            PublishError::Full => Self::HistoryFull,
            PublishError::KeyReused => Self::KeyReused(pointer.unwrap_or_default()),
            PublishError::OrderChanged { position } => Self::OrderChanged(vec![position.to_string()]),
            PublishError::TooMany { limit } => Self::Overloaded(limit.name(), Some(limit)),
            PublishError::TooLarge { size, limit, which } => Self::TooLarge {
                limit: which,
                limit_bytes: limit,
                size_bytes: Some(size),
                pointer,
            },
        }
    }

    /// The same, of a notification that was published for so many of its users.
    pub(crate) fn beside(self, published: usize) -> Self {
        match published {
            0 => self,
            _ => Self::Partly {
                published,
                error: Box::new(self),
            },
        }
    }
}
