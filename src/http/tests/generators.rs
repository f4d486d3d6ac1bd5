//! Promise: generators of clients can take the OpenAPI document, those for Java too (scripts/openapi runs them where there is a JDK),
//! and what it gives as a default or an example fits its own schema.

use super::*;

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

async fn document() -> Value {
    Fixture::open().get("/api/openapi.json", "").await.json()
}

/// Calls `seen` with each object in `value` and the JSON pointer to it.
fn walk(value: &Value, at: &str, seen: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            seen(at, value);
            for (name, member) in members {
                walk(member, &format!("{at}/{}", name.replace('/', "~1")), seen);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), seen);
            }
        }
        _ => {}
    }
}

/// Whether `value` fits `schema`, as far as the document's schemas go; patterns have a test of their own.
fn fits(document: &Value, schema: &Value, value: &Value) -> bool {
    let is_of = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    };
    let one = |schema: &Value| fits(document, schema, value);
    let count = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .filter(|schema| one(schema))
            .count()
    };
    let chars = value.as_str().map(|text| text.chars().count() as u64);
    schema
        .as_object()
        .unwrap()
        .iter()
        .all(|(word, said)| match word.as_str() {
            "$ref" => one(document.pointer(&said.as_str().unwrap()[1..]).unwrap()),
            "type" => match said {
                Value::Array(names) => names.iter().any(|name| is_of(name.as_str().unwrap())),
                name => is_of(name.as_str().unwrap()),
            },
            "const" => value == said,
            "enum" => said.as_array().unwrap().contains(value),
            "not" => !one(said),
            "oneOf" => count(said) == 1,
            "allOf" => count(said) == said.as_array().unwrap().len(),
            "minimum" => value.as_u64().is_none_or(|value| said.as_u64() <= Some(value)),
            "maximum" => value.as_u64().is_none_or(|value| said.as_u64() >= Some(value)),
            "minLength" => chars.is_none_or(|chars| said.as_u64() <= Some(chars)),
            "maxLength" => chars.is_none_or(|chars| said.as_u64() >= Some(chars)),
            "required" => value.as_object().is_none_or(|object| {
                let names = said.as_array().unwrap();
                names
                    .iter()
                    .all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => value
                .as_object()
                .into_iter()
                .flatten()
                .all(|(name, value)| said.get(name).is_none_or(|schema| fits(document, schema, value))),
            "additionalProperties" if said == false => value.as_object().is_none_or(|object| {
                let known = &schema["properties"];
                object.keys().all(|name| known.get(name).is_some())
            }),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .all(|value| fits(document, said, value)),
            // Its own length.
            "pattern" if said.as_str().is_some_and(|pattern| pattern.starts_with("[^/]{")) => value
                .as_str()
                .is_some_and(|text| text.split('/').any(|part| part.len() > 128)),
            _ => true,
        })
}

#[tokio::test]
async fn each_default_and_each_example_fits_its_schema() {
    let document = document().await;
    let (mut defaults, mut examples) = (0, 0);
    walk(&document, "", &mut |at, object| {
        // Members of these names that are properties are schemas themselves.
        if at.ends_with("/properties") {
            return;
        }
        if let Some(default) = object.get("default") {
            assert!(fits(&document, object, default), "{at}: default {default}");
            defaults += 1;
        }
        if let Some(example) = object.get("example") {
            let schema = object.get("schema").unwrap_or(object);
            assert!(fits(&document, schema, example), "{at}: example {example}");
            examples += 1;
        }
        for (name, example) in object
            .get("examples")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let fits = fits(&document, &object["schema"], &example["value"]);
            assert!(fits, "{at}: {name}: {}", example["value"]);
            examples += 1;
        }
    });
    assert!(
        defaults >= 9 && examples >= 20,
        "{defaults} defaults, {examples} examples"
    );
}

#[tokio::test]
async fn whether_a_user_is_blocked_tells_the_kinds_of_revocation_apart() {
    let document = document().await;
    let schema = json!({"$ref": "#/components/schemas/RevocationRequest"});
    for (body, is_one) in [
        (json!({"user": "alice"}), true),
        (json!({"user": "alice", "block": false}), true),
        (json!({"user": "alice", "block": true}), true),
        (json!({"issuer": "https://id.example.com", "block": true}), false),
        (json!({"user": "alice", "block": true, "issued_before": 7}), false),
        (json!({"block": true}), false),
    ] {
        assert_eq!(fits(&document, &schema, &body), is_one, "{body}");
    }
}

/// openapi-generator makes a class of a boolean with `const` or `enum` that javac refuses.
#[tokio::test]
async fn no_boolean_has_const_or_enum() {
    let mut booleans = 0;
    walk(&document().await, "", &mut |at, object| {
        if object.get("type") == Some(&json!("boolean")) {
            booleans += 1;
            for word in ["const", "enum"] {
                assert!(object.get(word).is_none(), "{at} has {word}");
            }
        }
    });
    assert!(booleans >= 4, "{booleans}");
}

/// openapi-generator reads every answer by the schema of the lowest status below 300 that it finds.
#[tokio::test]
async fn all_good_answers_of_an_operation_have_one_schema() {
    let document = document().await;
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in METHODS
            .iter()
            .filter_map(|method| Some((method, item.get(method)?)))
        {
            let responses = operation["responses"].as_object().unwrap();
            let good = responses.iter().filter(|(status, _)| status.starts_with('2'));
            let mut schemas: Vec<_> = good
                .flat_map(|(_, response)| response["content"].as_object().into_iter().flatten())
                .map(|(_, content)| &content["schema"])
                .collect();
            schemas.dedup();
            assert!(schemas.len() <= 1, "{method} {path}: {schemas:?}");
            operations += 1;
        }
    }
    assert_eq!(operations, super::description::ROUTES.len());
}

/// Java of the library `native` does not compile with an array among alternatives that has no name.
#[tokio::test]
async fn all_alternatives_have_names() {
    let mut alternatives = 0;
    walk(&document().await, "", &mut |at, object| {
        for one in object
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let is_named = one.get("$ref").is_some() || one["type"] == "null" || one["type"] == "string";
            assert!(is_named, "{at}: {one}");
            alternatives += 1;
        }
    });
    assert!(alternatives >= 12, "{alternatives}");
}
