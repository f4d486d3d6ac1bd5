//! `Idempotency-Key`: lets a publisher repeat a request whose answer was lost, without publishing anything twice. Knows
//! no body and no bus.

use axum::http::HeaderMap;

use super::caller::Caller;
use super::error::ApiError;
use crate::bus::Key;
use crate::destination::Target;
use crate::envelope::{Kept, MessageId};

const NAME: &str = "Idempotency-Key";
/// The longest key (docs/rest.md).
const KEY_BYTES_MAX: usize = 255;

/// A request's key, with its caller: two callers' keys have nothing to do with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Idempotency {
    caller: Box<str>,
    key: Box<str>,
}

impl Idempotency {
    /// The request's key, if it has one.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`]: it is not 1 to 255 visible ASCII characters, or there are several. The value is not repeated.
    pub(crate) fn read(headers: &HeaderMap, caller: Option<&Caller>) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.as_bytes();
        let is_key = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        let key = value.to_str().ok().filter(|_| is_key && values.next().is_none());
        let key = key.ok_or_else(|| {
            ApiError::BadRequest(format!(
                "header {NAME} must be there once, as 1 to {KEY_BYTES_MAX} visible ASCII characters"
            ))
        })?;
        Ok(Some(Self {
            caller: caller.unwrap_or(&Caller::Anyone).to_string().into(),
            key: key.into(),
        }))
    }

    /// The key of the request's notification number `item` for `target`, which is one of several only if it is a user's.
    pub(crate) fn key(&self, item: usize, target: &Target) -> Key {
        let user = match target {
            Target::User { user, .. } => user.as_str(),
            Target::Broadcast(_) => "",
        };
        Key::of([
            self.caller.as_bytes(),
            self.key.as_bytes(),
            &(item as u64).to_le_bytes(),
            user.as_bytes(),
        ])
    }

    /// The id of that notification where the publisher gives it none: a repeat has the same.
    pub(crate) fn id(&self, item: usize) -> MessageId {
        let parts = [
            self.caller.as_bytes(),
            self.key.as_bytes(),
            &(item as u64).to_le_bytes(),
        ];
        MessageId::parse(&Key::of(parts).to_string()).unwrap_or_else(MessageId::random)
    }

    /// Refuses a destination of whose notifications the bus could not know a repeat. `pointer`: the body's part that names it.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`], or [`ApiError::Invalid`] where there is a pointer.
    pub(crate) fn check_kept(
        kept: Option<&Kept>,
        target: &Target,
        pointer: Option<String>,
    ) -> Result<(), ApiError> {
        let detail = match kept {
            None => format!(
                "header {NAME} wants history, which is off (history.enabled): a repeat could not be known"
            ),
            Some(kept) if !kept.holds(target) => format!(
                "header {NAME} wants a destination that history keeps (history.broadcast, history.user): a repeat could not \
                 be known"
            ),
            Some(_) => return Ok(()),
        };
        Err(match pointer {
            Some(pointer) if kept.is_some() => ApiError::invalid(pointer, detail),
            _ => ApiError::BadRequest(detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::destination::Path;
    use crate::principal::{Principal, UserName};

    fn read(values: &[&[u8]]) -> Result<Option<Idempotency>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, axum::http::HeaderValue::from_bytes(value).unwrap());
        }
        Idempotency::read(&headers, Some(&Caller::key_named("shop")))
    }

    #[test]
    fn a_key_is_visible_ascii_and_bounded() {
        assert_eq!(read(&[]), Ok(None));
        let longest = [b'x'; 255];
        for good in [&b"a"[..], b"order-17", b"\"quoted\"", b"~!", &longest] {
            assert!(read(&[good]).unwrap().is_some());
        }
        let too_long = [b'x'; 256];
        let several: &[&[u8]] = &[b"a", b"a"];
        let bad: [&[&[u8]]; 7] = [
            &[b""],
            &[b"a b"],
            &[b"a\tb"],
            &["\u{e4}".as_bytes()],
            &[b"\xff"],
            &[&too_long],
            several,
        ];
        for values in bad {
            match read(values) {
                Err(ApiError::BadRequest(detail)) => assert!(detail.contains(NAME), "{detail}"),
                other => panic!("{values:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn each_caller_item_and_user_has_a_key_of_its_own() {
        let target = |name: Option<&str>| {
            let path = Path::parse("/queue/x").unwrap();
            match name {
                None => Target::Broadcast(path),
                Some(name) => Target::User {
                    user: UserName::parse(name).unwrap(),
                    path,
                },
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(NAME, "k".parse().unwrap());
        let of = |caller: Caller| Idempotency::read(&headers, Some(&caller)).unwrap().unwrap();
        let callers = [
            of(Caller::Anyone),
            of(Caller::key_named("a")),
            of(Caller::User(Principal::new("a".parse().unwrap(), [""; 0]))),
        ];
        let mut keys = HashSet::new();
        let mut ids = HashSet::new();
        for caller in &callers {
            for item in [0, 1] {
                assert!(ids.insert(caller.id(item)));
                assert_eq!(caller.id(item), caller.id(item));
                for name in [None, Some("anna"), Some("ben")] {
                    assert!(keys.insert(caller.key(item, &target(name))), "{item} {name:?}");
                }
            }
        }
    }
}
