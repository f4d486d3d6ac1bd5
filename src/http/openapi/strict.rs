//! Adds to the OpenAPI document what the types of the routes cannot express, since it depends on the configuration or
//! involves several members: which destinations there are, that `user` and `users` exclude each other, which texts a
//! parameter accepts. Herald then refuses nothing that the document permits. Knows parameters and schemas by their
//! names.

use serde_json::{Map, Value, json};

use super::examples;
use super::patterns::{self, DECEPTIVE};
use crate::auth::revoked::entry::ISSUER_MAX_BYTES;
use crate::destination::{DESTINATION_MAX_BYTES, Prefixes, SEGMENT_MAX_BYTES};

/// What the configuration says.
pub(crate) struct Facts<'a> {
    /// `[destinations]`
    pub prefixes: &'a Prefixes,
    /// `limits.headers`; the bytes of a header with its name are more than a schema can say.
    pub headers: usize,
    /// `api.access = "open"`
    pub anyone_publishes: bool,
}

/// The identities that Herald gives: ULIDs.
const ULID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";
/// A level, or levels of targets; of libraries no talkative ones.
const LEVEL: &str = "^(?:off|error|warn|info|debug|trace|herald(?:::[a-z_]+)*=(?:off|error|warn|info|debug|trace)|\
    [a-z_][a-z0-9_]*(?:::[a-z0-9_]+)*=(?:off|error|warn|info))(?:,(?:off|error|warn|info|debug|trace|\
    herald(?:::[a-z_]+)*=(?:off|error|warn|info|debug|trace)|[a-z_][a-z0-9_]*(?:::[a-z0-9_]+)*=(?:off|error|warn|info)))*$";

/// Adds to `document` what `facts` are.
pub(super) fn make_strict(document: &mut Value, facts: &Facts<'_>) {
    let schemas = document.pointer_mut("/components/schemas");
    if let Some(schemas) = schemas.and_then(Value::as_object_mut) {
        notifications(schemas, facts);
        if let Some(user) = schemas.get_mut("User") {
            user["pattern"] = json!(legible());
        }
        revocations(schemas);
        set(schemas, "LogLevelRequest", "level", "pattern", json!(LEVEL));
        set(
            schemas,
            "LogLevelRequest",
            "for",
            "pattern",
            json!(patterns::duration(24)),
        );
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            describe(path, operation, facts);
            examples::add(path, operation, facts);
        }
    }
}

/// A name of a user: without characters that could make it look like another.
fn legible() -> String {
    format!("^[^{DECEPTIVE}]+$")
}

/// What no destination has. Bounds within the pattern itself would take some engines megabytes.
fn long_segment() -> Value {
    json!({"pattern": format!("[^/]{{{}}}", SEGMENT_MAX_BYTES + 1)})
}

/// Sets one `key` of the member `name` of the schema `of`; `null` takes it away.
fn set(schemas: &mut Map<String, Value>, of: &str, name: &str, key: &str, value: Value) {
    let member = schemas
        .get_mut(of)
        .and_then(|schema| schema.pointer_mut("/properties")?.get_mut(name));
    let Some(member) = member.and_then(Value::as_object_mut) else {
        return;
    };
    if value.is_null() {
        member.remove(key);
    } else {
        member.insert(key.into(), value);
    }
}

/// A notification is a broadcast, for a user, or for several.
fn notifications(schemas: &mut Map<String, Value>, facts: &Facts<'_>) {
    let name = "NotificationRequest";
    let count = facts.headers;
    set(schemas, name, "ttl_ms", "maximum", json!(u64::MAX));
    // `int64` would say less.
    set(schemas, name, "ttl_ms", "format", json!("uint64"));
    // Blanks around it do not count.
    let key =
        r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
    set(schemas, name, "collapse", "pattern", json!(key));
    set(schemas, name, "headers", "maxProperties", json!(count));
    let names = json!({"type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"});
    set(schemas, name, "headers", "propertyNames", names);
    let values = json!({"type": "string", "pattern": r"^[^\u0000]*$"});
    set(schemas, name, "headers", "additionalProperties", values);
    set(
        schemas,
        name,
        "destination",
        "maxLength",
        json!(DESTINATION_MAX_BYTES),
    );
    set(schemas, name, "destination", "not", long_segment());
    let any = patterns::any(false);
    let broadcast = patterns::broadcast(&facts.prefixes.broadcast_prefixes, false);
    one_of(
        schemas,
        name,
        &[
            (
                "BroadcastNotification",
                "To everybody who subscribes to its destination.",
                &[],
                &["user", "users"],
                &[("destination", "pattern", json!(broadcast))],
            ),
            (
                "UserNotification",
                "To the sessions of one user.",
                &["user"],
                &["users"],
                &[("destination", "pattern", json!(any))],
            ),
            (
                "UsersNotification",
                "To the sessions of several users.",
                &["users"],
                &["user"],
                &[("destination", "pattern", json!(any))],
            ),
        ],
    );
}

/// What is shut out: the tokens of a user or of an issuer, one token, or a user.
fn revocations(schemas: &mut Map<String, Value>) {
    let name = "RevocationRequest";
    set(schemas, name, "for", "pattern", json!(patterns::duration(8_760)));
    set(schemas, name, "issuer", "pattern", json!(legible()));
    set(schemas, name, "issuer", "maxLength", json!(ISSUER_MAX_BYTES));
    // By `not`: of a boolean with `const` or `enum`, openapi-generator makes Java that does not compile.
    let is_not = |value: bool| ("block", "not", json!({"const": value}));
    let no = is_not(true);
    one_of(
        schemas,
        name,
        &[
            (
                "UserTokensRevocation",
                "All tokens that a user has now, or those of one issuer.",
                &["user"],
                &["token_id"],
                std::slice::from_ref(&no),
            ),
            (
                "IssuerTokensRevocation",
                "All tokens that an issuer has issued until now.",
                &["issuer"],
                &["user", "token_id"],
                std::slice::from_ref(&no),
            ),
            (
                "TokenRevocation",
                "One token.",
                &["issuer", "token_id"],
                &["user", "issued_before"],
                std::slice::from_ref(&no),
            ),
            (
                "UserBlock",
                "A user, by whatever it presents.",
                &["user", "block"],
                &["issuer", "token_id", "issued_before"],
                &[is_not(false), ("block", "default", Value::Null)],
            ),
        ],
    );
}

/// A kind of a request: its name, what it is, which members it needs and does not have, and what is said of a member.
type Kind<'a> = (
    &'a str,
    &'a str,
    &'a [&'a str],
    &'a [&'a str],
    &'a [(&'a str, &'a str, Value)],
);

/// Makes the schema `name` one of several `kinds` of itself.
fn one_of(schemas: &mut Map<String, Value>, name: &str, kinds: &[Kind<'_>]) {
    let Some(whole) = schemas.remove(name) else { return };
    let mut references = Vec::new();
    for (kind, description, needed, absent, said) in kinds {
        let mut schema = whole.clone();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|member, _| !absent.contains(&member.as_str()));
        }
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let required: Vec<Value> = required
            .into_iter()
            .chain(needed.iter().map(|name| json!(name)))
            .collect();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema["description"] = json!(description);
        schemas.insert((*kind).into(), schema);
        for (member, key, value) in *said {
            set(schemas, kind, member, key, value.clone());
        }
        references.push(json!({"$ref": format!("#/components/schemas/{kind}")}));
    }
    let description = whole.get("description").cloned().unwrap_or_default();
    schemas.insert(
        name.into(),
        json!({"description": description, "oneOf": references}),
    );
}

/// What one operation takes, and from whom.
fn describe(path: &str, operation: &mut Value, facts: &Facts<'_>) {
    let is_broadcast = path.starts_with("/api/v1/broadcast");
    let mut parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    if let Some(parameters) = &mut parameters {
        // The query may say again what the path has said; two parameters of one name get odd ones in generated clients.
        let is_again = |one: &Value| {
            text(one, "name") == "destination"
                && text(one, "in") == "query"
                && one.get("required") != Some(&json!(true))
        };
        parameters.retain(|one| !is_again(one));
    }
    for parameter in parameters.into_iter().flatten() {
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let in_path = place == "path";
        let destination = || match is_broadcast {
            true => patterns::broadcast(&facts.prefixes.broadcast_prefixes, in_path),
            false => patterns::any(in_path),
        };
        let (pattern, most) = match name.as_str() {
            "destination" => (destination(), DESTINATION_MAX_BYTES),
            // In its own place, it refers to the schema.
            "user" if parameter["schema"].get("pattern").is_some() => {
                parameter["schema"]["pattern"] = json!(legible());
                continue;
            }
            "Herald-Ttl-Ms" => {
                parameter["schema"] = json!({"type": "integer", "minimum": 1, "maximum": u64::MAX});
                continue;
            }
            "session" | "after" | "id" => (ULID.into(), 26),
            "Idempotency-Key" => ("^[!-~]{1,255}$".into(), 255),
            "Herald-Collapse" => ("^[!-~](?:[ -~]*[!-~])?$".into(), 128),
            // Without bounds of its own: readers would take them for those of any text. `limits.header_bytes` has the last word.
            "Herald-Headers" => {
                let pattern = patterns::object_of_texts(facts.headers);
                parameter["schema"] = json!({"type": "string", "pattern": pattern});
                continue;
            }
            _ => continue,
        };
        parameter["schema"] =
            json!({"type": "string", "pattern": pattern, "minLength": 1, "maxLength": most});
        if name == "destination" {
            parameter["schema"]["not"] = long_segment();
        }
    }
    if let Some(content) = operation.pointer_mut("/requestBody/content")
        && content.get("*/*").is_some()
    {
        // Any type may be sent; these are the ones that generators of clients know what to do with.
        *content = json!({
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "text/plain": {"schema": {"type": "string"}},
            "*/*": {},
        });
    }
    if !facts.anyone_publishes
        && let Some(security) = operation.get_mut("security").and_then(Value::as_array_mut)
        && security.len() > 1
    {
        security.retain(|one| one.as_object().is_none_or(|one| !one.is_empty()));
    }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
