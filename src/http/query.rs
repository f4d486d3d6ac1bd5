//! The parameters of a query: one that the route does not accept, that is given twice, or that is malformed or of the
//! wrong kind is refused, for all routes in one place. Otherwise `?dryrun=true` would publish. Knows the routes only by
//! their descriptions.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use super::json::nearest;
use super::percent::decode;
use super::whole;

/// The replaced service ignored what it did not know, and so does this route of its.
pub(super) const TAKES_ANYTHING: &str = "/api/v1/message";
/// The most characters of a parameter's name that an answer repeats.
const NAME_MAX_CHARS: usize = 64;

/// The query parameters of each route, by method and pattern.
#[derive(Debug, Default)]
pub(crate) struct Queries(HashMap<(Method, String), Vec<Parameter>>);

/// A parameter of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    kind: Kind,
}

/// What a parameter's value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole(RangeInclusive<u64>),
    /// One of these.
    OneOf(Vec<String>),
    /// Any text: its route has the rules.
    Text,
}

impl Kind {
    /// As `schema` says.
    fn of(schema: &Value) -> Self {
        let is = |name: &str| {
            let kind = &schema["type"];
            kind == name
                || kind
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|one| one == name))
        };
        let bound = |name: &str, default: u64| schema[name].as_f64().map_or(default, |bound| bound as u64);
        let texts = |values: &[Value]| {
            let texts = values.iter().filter_map(|one| one.as_str().map(str::to_owned));
            texts.collect()
        };
        match schema["enum"].as_array() {
            Some(values) => Self::OneOf(texts(values)),
            None if is("boolean") => Self::Flag,
            None if is("integer") => Self::Whole(bound("minimum", 0)..=bound("maximum", u64::MAX)),
            None => Self::Text,
        }
    }

    /// What it must be, unless `value` is of it.
    fn refuses(&self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Flag => (!matches!(value, "true" | "false")).then(|| "true or false".into()),
            Self::Whole(range) => {
                let fits = whole::parse(value).is_some_and(|number| range.contains(&number));
                (!fits).then(|| match (*range.start(), *range.end()) {
                    (0, u64::MAX) => "a whole number".into(),
                    (least, u64::MAX) => format!("a whole number, at least {least}"),
                    (least, most) => format!("a whole number from {least} to {most}"),
                })
            }
            Self::OneOf(values) => (!values.iter().any(|one| one == value)).then(|| values.join(" or ")),
        }
    }
}

impl Queries {
    /// As `documents` describe their routes.
    pub(crate) fn of<'a>(documents: impl IntoIterator<Item = &'a OpenApi>) -> Self {
        let paths = documents.into_iter().flat_map(|document| &document.paths.paths);
        let of = |(path, item): (&String, &'a PathItem)| {
            let path = path.clone();
            operations(item).map(move |(method, operation)| ((method, path.clone()), parameters(operation)))
        };
        Self(paths.flat_map(of).collect())
    }

    /// The methods that the route of `request` takes, sorted; where it takes GET, HEAD too. `base` may stand before the pattern of its
    /// route. The descriptions' own route is not described, and is read.
    pub(crate) fn methods(&self, base: &str, request: &Request) -> Vec<String> {
        let Some(route) = request.extensions().get::<MatchedPath>() else {
            return Vec::new();
        };
        let route = route.as_str();
        let route = route.strip_prefix(base).unwrap_or(route);
        let described = self.0.keys().filter(|(_, pattern)| pattern == route);
        let mut methods: Vec<_> = described.map(|(method, _)| method.to_string()).collect();
        if methods.is_empty() {
            methods.push("GET".to_owned());
        }
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".to_owned());
        }
        methods.sort_unstable();
        methods
    }

    /// What is wrong with the query of `request`, if anything is. `base` may stand before the pattern of its route.
    pub(crate) fn refusal(&self, base: &str, request: &Request) -> Option<ApiError> {
        let query = request.uri().query().filter(|query| !query.is_empty())?;
        let known = self.0.get(&strict_route(base, request)?)?;
        check(query, known).err()
    }
}

/// The operations of a path, by their methods.
pub(crate) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn parameters(operation: &Operation) -> Vec<Parameter> {
    let all = operation.parameters.iter().flatten().filter_map(|one| match one {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    all.filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| Parameter {
            name: parameter.name.clone(),
            // A schema that cannot be written is one that says nothing.
            kind: Kind::of(&serde_json::to_value(&parameter.schema).unwrap_or_default()),
        })
        .collect()
}

/// The method and the pattern of the route of `request`, as descriptions name them; `base` may stand before the pattern. `None`: it has
/// no route, or one that takes anything.
pub(super) fn strict_route(base: &str, request: &Request) -> Option<(Method, String)> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let route = route.strip_prefix(base).unwrap_or(route);
    if route == TAKES_ANYTHING {
        return None;
    }
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref method => method.clone(),
    };
    Some((method, route.to_owned()))
}

/// Whether `query` has nothing but `known` parameters, each once, in readable text and of its kind.
fn check(query: &str, known: &[Parameter]) -> Result<(), ApiError> {
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(&name.replace('+', " "), "query")?;
        let Some(Parameter { name, kind }) = known.iter().find(|one| one.name == name) else {
            return Err(unknown(&name, known));
        };
        // The value is read again by whom it is for, who would take what is not UTF-8 for another text.
        let value = decode(&value.replace('+', " "), "query")?;
        if seen.contains(&&**name) {
            return Err(ApiError::BadRequest(format!(
                "the query parameter {name} is given twice"
            )));
        }
        if let Some(expected) = kind.refuses(&value) {
            return Err(ApiError::BadRequest(format!(
                "the query parameter {name} must be {expected}; nothing was done"
            )));
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown(name: &str, known: &[Parameter]) -> ApiError {
    let names: Vec<&str> = known.iter().map(|one| &*one.name).collect();
    let shown: String = name.chars().take(NAME_MAX_CHARS).collect();
    let known = match names.is_empty() {
        true => "this route takes none".to_owned(),
        false => format!("known are {}", names.join(", ")),
    };
    let meant = nearest(name, &names).map(|meant| format!("did you mean {meant}? "));
    ApiError::BadRequest(format!(
        "unknown query parameter {shown:?}; {}{known}; nothing was done",
        meant.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_known_parameters_once_each() {
        let known = ["dry_run", "atomic"].map(|name| Parameter {
            name: name.into(),
            kind: Kind::Text,
        });
        let detail = |query: &str| match check(query, &known) {
            Ok(()) => String::new(),
            Err(ApiError::BadRequest(detail)) => detail,
            Err(other) => panic!("{other:?}"),
        };
        for sound in [
            "",
            "dry_run=true",
            "atomic=&dry_run=%C3%A4+",
            "&&atomic&",
            "%61tomic=1",
        ] {
            assert_eq!(detail(sound), "", "{sound}");
        }
        let mistaken = "did you mean dry_run? known are dry_run, atomic; nothing was done";
        for (query, expected) in [
            (
                "dryrun=true",
                format!("unknown query parameter \"dryrun\"; {mistaken}"),
            ),
            (
                "dry-run=true",
                format!("unknown query parameter \"dry-run\"; {mistaken}"),
            ),
            (
                "Dry_Run=true",
                format!("unknown query parameter \"Dry_Run\"; {mistaken}"),
            ),
            (
                "atomic=true&%0Ax=SECRET",
                "unknown query parameter \"\\nx\"; known are dry_run, atomic; nothing was done".into(),
            ),
            (
                "atomic=1&%61tomic=1",
                "the query parameter atomic is given twice".into(),
            ),
            (
                "atomic=%f",
                "'%' in the query must be followed by two hex digits".into(),
            ),
            ("atomic=%FF", "the query is not UTF-8".into()),
            ("%FF", "the query is not UTF-8".into()),
        ] {
            assert_eq!(detail(query), expected, "{query}");
        }
        let ApiError::BadRequest(none) = unknown(&"x".repeat(1_000), &[]) else {
            panic!("another error");
        };
        let name = "x".repeat(64);
        assert_eq!(
            none,
            format!("unknown query parameter {name:?}; this route takes none; nothing was done")
        );
    }

    #[test]
    fn a_value_is_of_its_kind() {
        let kind = |schema: &str| Kind::of(&serde_json::from_str(schema).unwrap());
        let flag = kind(r#"{"type":"boolean"}"#);
        let whole = kind(r#"{"type":["integer","null"],"minimum":1,"maximum":30.0}"#);
        let any = kind(r#"{"type":"integer"}"#);
        let one_of = kind(r#"{"type":"string","enum":["own","all"]}"#);
        let text = kind(r#"{"type":["string","null"]}"#);
        for (kind, value, expected) in [
            (&flag, "true", None),
            (&flag, "false", None),
            (&flag, "1", Some("true or false")),
            (&flag, "True", Some("true or false")),
            (&flag, "", Some("true or false")),
            (&whole, "30", None),
            (&whole, "1.0", None),
            (&whole, "0", Some("a whole number from 1 to 30")),
            (&whole, "31", Some("a whole number from 1 to 30")),
            (&whole, "1m", Some("a whole number from 1 to 30")),
            (&any, "0", None),
            (&any, "-1", Some("a whole number")),
            (&one_of, "own", None),
            (&one_of, "Own", Some("own or all")),
            (&text, "1", None),
            (&text, "", None),
        ] {
            assert_eq!(kind.refuses(value).as_deref(), expected, "{kind:?} {value}");
        }
        let known = Parameter {
            name: "dry_run".into(),
            kind: flag,
        };
        assert_eq!(
            check("dry_run=SECRET", std::slice::from_ref(&known)),
            Err(ApiError::BadRequest(
                "the query parameter dry_run must be true or false; nothing was done".into()
            ))
        );
        assert_eq!(check("dry_run=tru%65", &[known]), Ok(()));
    }
}
