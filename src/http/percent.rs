//! Percent-encoding as used by requests, read strictly: a text that cannot be read is refused, never passed on
//! unchanged. Knows no route.

use percent_encoding::percent_decode_str;

use super::error::ApiError;

/// Decodes `text`, which stands in the request's `place`: `%` must begin an escape, and the result must be UTF-8.
pub(crate) fn decode(text: &str, place: &str) -> Result<String, ApiError> {
    let escapes_are_whole = text.split('%').skip(1).all(|rest| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if !escapes_are_whole {
        return Err(ApiError::BadRequest(format!(
            "'%' in the {place} must be followed by two hex digits"
        )));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| ApiError::BadRequest(format!("the {place} is not UTF-8")))
}
