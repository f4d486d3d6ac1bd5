//! What a query may hold: a parameter that a route does not take, that is given twice or that cannot be read is refused, for all
//! routes in one place. `?dryrun=true` would otherwise publish. Knows the routes by their descriptions alone.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use super::json::nearest;
use super::percent::decode;

/// The replaced service ignored what it did not know, and so does this route of its.
const TAKES_ANYTHING: &str = "/api/v1/message";
/// The most characters of a parameter's name that an answer repeats.
const NAME_MAX_CHARS: usize = 64;

/// The query parameters of each route, by method and pattern.
#[derive(Debug, Default)]
pub(crate) struct Queries(HashMap<(Method, String), Vec<String>>);

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

    /// What is wrong with the query of `request`, if anything is. `base` may stand before the pattern of its route.
    pub(crate) fn refusal(&self, base: &str, request: &Request) -> Option<ApiError> {
        let query = request.uri().query().filter(|query| !query.is_empty())?;
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let route = route.strip_prefix(base).unwrap_or(route);
        if route == TAKES_ANYTHING {
            return None;
        }
        let method = match *request.method() {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let known = self.0.get(&(method, route.to_owned()))?;
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

fn parameters(operation: &Operation) -> Vec<String> {
    let all = operation.parameters.iter().flatten().filter_map(|one| match one {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    all.filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Whether `query` has nothing but `known` parameters, each once, in readable text.
fn check(query: &str, known: &[String]) -> Result<(), ApiError> {
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(&name.replace('+', " "), "query")?;
        if !known.contains(&name) {
            return Err(unknown(&name, known));
        }
        // The value is read again by whom it is for, who would take what is not UTF-8 for another text.
        decode(value, "query")?;
        if seen.contains(&name) {
            return Err(ApiError::BadRequest(format!(
                "the query parameter {name} is given twice"
            )));
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown(name: &str, known: &[String]) -> ApiError {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
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
        let known = ["dry_run".to_owned(), "atomic".to_owned()];
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
}
