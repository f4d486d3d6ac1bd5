//! Collapse keys: which waiting notification a newer one replaces. Knows no queue and no transport.

use std::sync::Arc;

/// Who publishes. A key belongs to its kind: no client can replace what a backend has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublisherKind {
    /// By a SEND.
    Client,
    /// Over REST, or straight to NATS.
    Backend,
}

/// A key of one kind of publishers. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CollapseKey {
    publisher: PublisherKind,
    text: Arc<str>,
}

impl CollapseKey {
    /// 1 to 128 bytes of `text` without control characters, not counting outer blanks. `None` if it breaks that rule.
    pub fn parse(text: &str, publisher: PublisherKind) -> Option<Self> {
        let text = text.trim();
        let legal = (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        legal.then(|| Self {
            publisher,
            text: text.into(),
        })
    }

    /// A backend's key: [`CollapseKey::parse`].
    pub fn of_backend(text: &str) -> Option<Self> {
        Self::parse(text, PublisherKind::Backend)
    }

    /// Whose it is.
    pub fn publisher(&self) -> PublisherKind {
        self.publisher
    }

    /// The key as its publisher wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_its_kind_of_publisher() {
        let of = |kind| CollapseKey::parse(" k ", kind).unwrap();
        assert_eq!(of(PublisherKind::Client), of(PublisherKind::Client));
        assert_ne!(of(PublisherKind::Client), of(PublisherKind::Backend));
        assert_eq!(of(PublisherKind::Backend).as_str(), "k");
        for wrong in ["", "  ", "a\nb", &"x".repeat(129)] {
            assert_eq!(CollapseKey::of_backend(wrong), None, "{wrong:?}");
        }
    }
}
