//! The examples in the OpenAPI document: one for each body, so that a page that shows the document sends nothing made
//! up, and the content types of a raw body in an order that puts text first. Knows operations by their paths.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::Facts;

/// The content type of a raw body that is easiest to try out.
const TEXT: &str = "text/plain";
/// Any other.
const ANY: &str = "*/*";

/// Adds examples to the body of the operation at `path`.
pub(super) fn add(path: &str, operation: &mut Value, facts: &Facts<'_>) {
    let Some(content) = operation
        .pointer_mut("/requestBody/content")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if let Some(text) = content.get_mut(TEXT) {
        text["example"] = json!("hello");
    }
    let Some(json) = content.get_mut("application/json") else {
        return;
    };
    let examples = of(path, facts);
    if !examples.is_empty() {
        json["examples"] = examples.into();
    }
}

/// The examples of a JSON body, by their names; the first of them is what is shown.
fn of(path: &str, facts: &Facts<'_>) -> Map<String, Value> {
    let prefix = facts
        .prefixes
        .broadcast_prefixes
        .first()
        .map_or("/queue", |prefix| prefix.as_str());
    let destination = format!("{prefix}/orders");
    let order = json!({"order": 7});
    let (broadcast, user, users) = (
        json!({"destination": &destination, "payload": &order}),
        json!({"destination": &destination, "user": "alice", "payload": &order}),
        json!({"destination": &destination, "users": ["alice", "bob"], "payload": &order, "ttl_ms": 60_000}),
    );
    let rows: Vec<(&str, &str, Value)> = match path {
        "/api/v1/notifications" => {
            let array = json!([&broadcast, &user]);
            vec![
                ("a_broadcast", "To everybody who subscribes", broadcast),
                ("b_user", "To one user", user),
                ("c_users", "To several users, for a minute", users),
                ("d_array", "Several, in their order", array),
            ]
        }
        "/api/v1/revocations" => vec![
            (
                "a_user",
                "All tokens that a user has now",
                json!({"user": "alice"}),
            ),
            (
                "b_token",
                "One token",
                json!({"issuer": "https://id.example.com", "token_id": "01JD"}),
            ),
            (
                "c_block",
                "A user, for a day",
                json!({"user": "alice", "block": true, "for": "24h"}),
            ),
        ],
        _ => Vec::new(),
    };
    rows.into_iter()
        .map(|(name, summary, value)| (name.into(), json!({"summary": summary, "value": value})))
        .collect()
}

/// A value as JSON, whose content types of a raw body are in this order: text, what has a name, any.
pub(super) struct InOrder<'a>(pub &'a Value);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut ordered: Vec<(&String, &Value)> = members.iter().collect();
                // The sort is stable: all other objects stay as they are.
                ordered.sort_by_key(|(name, _)| match name.as_str() {
                    TEXT => 0,
                    ANY => 2,
                    _ => 1,
                });
                let mut map = serializer.serialize_map(Some(ordered.len()))?;
                for (name, value) in ordered {
                    map.serialize_entry(name, &InOrder(value))?;
                }
                map.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(InOrder)),
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_first_and_any_type_last() {
        let value = json!([{"b": 1, "a": [], "content": {"*/*": {}, "application/octet-stream": {}, "text/plain": {}}}]);
        assert_eq!(
            serde_json::to_string(&InOrder(&value)).unwrap(),
            r#"[{"a":[],"b":1,"content":{"text/plain":{},"application/octet-stream":{},"*/*":{}}}]"#
        );
    }
}
