//! The REST answer for a refused publish. Knows the bus only by its errors.

use super::ApiError;
use crate::bus::{Bus, PublishError};

impl ApiError {
    /// A refused publish of the body at `pointer` (`None`: the request's own body).
    pub(crate) fn from_publish(error: PublishError, pointer: Option<String>) -> Self {
        match error {
            PublishError::Unavailable => Self::BusUnavailable(None),
            PublishError::Unknown => Self::OutcomeUnknown,
            PublishError::Full => Self::HistoryFull,
            // Which part differs is not kept: it is about the notification as a whole.
            PublishError::KeyReused => {
                let pointer = pointer.unwrap_or_default();
                Self::KeyReused(pointer.strip_suffix("/payload").unwrap_or(&pointer).to_owned())
            }
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

    /// The same with what is away, and why, as `bus` knows it.
    pub(crate) fn because_of(self, bus: &dyn Bus) -> Self {
        match self {
            Self::BusUnavailable(None) => {
                let outage = bus.outage();
                Self::BusUnavailable((!outage.is_empty()).then(|| outage.join("; ").into()))
            }
            Self::Partly { published, error } => Self::Partly {
                published,
                error: Box::new(error.because_of(bus)),
            },
            other => other,
        }
    }

    /// The same, of an operator's order to all instances, which publishes nothing.
    pub(crate) fn of_order(self) -> Self {
        match self {
            Self::BusUnavailable(why) => Self::NotTold(why),
            other => other,
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
