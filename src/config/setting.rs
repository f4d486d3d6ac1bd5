//! What a source says of one key. Knows no source.

use figment::value::{Empty, Tag, Value};

use super::origin::Origin;

/// One value that a source gives to one key.
pub(super) struct Setting {
    /// Dotted, known to the schema.
    pub(super) key: String,
    pub(super) origin: Origin,
    /// What the value may mean, best first; never empty.
    pub(super) candidates: Vec<Value>,
    /// Where the elements of a list stand.
    pub(super) elements: Vec<(String, Origin)>,
}

/// What `none` is to figment.
pub(super) fn none() -> Value {
    Value::Empty(Tag::Default, Empty::None)
}
