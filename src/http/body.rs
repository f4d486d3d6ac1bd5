//! Request bodies, bounded before they are allocated: each by a named limit, all together by
//! `http.buffered_request_bytes`, and in time by `http.body_timeout`. Knows no route.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// A limit and the name of its setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// For example `http.max_request_bytes`.
    pub name: &'static str,
    /// Its value.
    pub bytes: usize,
}

/// A complete body. Its bytes count towards `http.buffered_request_bytes` until it is dropped.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// The body.
    pub bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads bodies within the bounds of `[http]`.
#[derive(Debug, Clone)]
pub(crate) struct BodyReader {
    room: Arc<Semaphore>,
    timeout: Duration,
}

impl BodyReader {
    /// A reader that holds at most `buffered_bytes` at the same time and waits `timeout` for each body.
    pub(crate) fn new(buffered_bytes: usize, timeout: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(buffered_bytes.min(Semaphore::MAX_PERMITS))),
            timeout,
        }
    }

    /// Reads a body of at most `limit`. A longer one that announces its length is refused unread.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: Limit,
    ) -> Result<Buffered, ApiError> {
        let too_large = |size_bytes| ApiError::TooLarge {
            limit: limit.name,
            limit_bytes: limit.bytes,
            size_bytes,
            pointer: None,
        };
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if let Some(size) = announced.filter(|size| *size > limit.bytes) {
            return Err(too_large(Some(size)));
        }
        tokio::time::timeout(self.timeout, self.collect(body, limit.bytes, &too_large))
            .await
            .map_err(|_| ApiError::BodyTimeout)?
    }

    /// Room is taken as bytes arrive, not as they are announced: a client that only announces takes no room from
    /// others.
    async fn collect(
        &self,
        mut body: Body,
        limit_bytes: usize,
        too_large: &impl Fn(Option<usize>) -> ApiError,
    ) -> Result<Buffered, ApiError> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut permit: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame.map_err(|_| ApiError::BodyBroken)?.into_data() else {
                continue;
            };
            if first.len() + rest.len() + chunk.len() > limit_bytes {
                return Err(too_large(None));
            }
            let taken = u32::try_from(chunk.len())
                .ok()
                .and_then(|bytes| Arc::clone(&self.room).try_acquire_many_owned(bytes).ok())
                .ok_or(ApiError::Overloaded(
                    "bodies of other requests fill http.buffered_request_bytes",
                    Some(crate::limit::Limit::BufferedRequestBytes),
                ))?;
            match &mut permit {
                Some(held) => held.merge(taken),
                None => permit = Some(taken),
            }
            if first.is_empty() && rest.is_empty() {
                first = chunk;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&chunk);
            }
        }
        // A small body is a view into the connection's read buffer, which it would keep alive for as long as the
        // notification waits somewhere: copy it.
        let bytes = if rest.is_empty() {
            Bytes::copy_from_slice(&first)
        } else {
            rest.freeze()
        };
        Ok(Buffered {
            bytes,
            _permit: permit,
        })
    }
}

/// Refuses a body that does not declare itself JSON (`application/json`, `application/…+json`), or that is
/// compressed.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    require_plain(headers)?;
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .map(|text| text.trim().to_ascii_lowercase());
    match essence.as_deref() {
        Some("application/json") => Ok(()),
        Some(other) if other.starts_with("application/") && other.ends_with("+json") => Ok(()),
        _ => Err(ApiError::UnsupportedMediaType(
            "the content type must be application/json",
        )),
    }
}

/// Refuses a compressed body: subscribers would get it without knowing that it is.
pub(crate) fn require_plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain {
        Ok(())
    } else {
        Err(ApiError::UnsupportedMediaType(
            "the body must not be compressed (Content-Encoding)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    const LIMIT: Limit = Limit {
        name: "limit",
        bytes: 10,
    };

    fn chunked(chunks: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk)),
        ))
    }

    async fn read(reader: &BodyReader, body: Body) -> Result<Buffered, ApiError> {
        reader.read(&HeaderMap::new(), body, LIMIT).await
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        let reader = BodyReader::new(100, Duration::from_secs(1));
        let check = async |chunks, expected: Option<&str>| {
            let got = read(&reader, chunked(chunks)).await.ok().map(|body| body.bytes);
            assert_eq!(got.as_deref(), expected.map(str::as_bytes), "{chunks:?}");
        };
        check(&[], Some("")).await;
        check(&["12345", "67890"], Some("1234567890")).await;
        check(&["", "12345", "", "6"], Some("123456")).await;
        check(&["12345", "678901"], None).await;
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_until_dropped() {
        let reader = BodyReader::new(10, Duration::from_secs(1));
        let held = read(&reader, chunked(&["123456"])).await.unwrap();
        assert!(matches!(
            read(&reader, chunked(&["12345"])).await,
            Err(ApiError::Overloaded(..))
        ));
        drop(held);
        assert!(read(&reader, chunked(&["12345"])).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let reader = BodyReader::new(10, Duration::from_secs(30));
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(&reader, body).await.unwrap_err(), ApiError::BodyTimeout);
    }
}
