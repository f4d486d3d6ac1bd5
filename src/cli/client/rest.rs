//! Herald's REST interface from outside, over one connection that is kept and reopened when it was closed. Knows no
//! command.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::{ClientError, Server, connection, refusal};
use crate::http_client::{HttpClient, HttpClientError};

/// The largest answer that is read.
const ANSWER_MAX_BYTES: usize = 64 << 20;
/// The longest wait for an answer, in addition to the time that the request itself asks for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The characters that need no escaping in a segment of a path (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A destination as part of a path, without its first slash: its segments escaped, its slashes not.
///
/// # Errors
/// It does not begin with a slash.
pub(super) fn segments(destination: &str) -> Result<String, ClientError> {
    let inner = destination.strip_prefix('/').ok_or_else(|| {
        ClientError::Usage(format!(
            "a destination begins with '/', such as /queue/orders: {destination:?}"
        ))
    })?;
    Ok(inner.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The JSON of a successful answer.
    ///
    /// # Errors
    /// The words of the refusal, or that the answer is not Herald's.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        self.require_success()?;
        serde_json::from_slice(&self.body).map_err(|error| {
            ClientError::Failure(format!(
                "the answer is not Herald's ({error}): is this its address?"
            ))
        })
    }

    /// # Errors
    /// The words of the refusal.
    pub(super) fn require_success(&self) -> Result<(), ClientError> {
        match self.status.is_success() {
            true => Ok(()),
            false => Err(ClientError::of_status(
                self.status,
                refusal::words(self.status, &self.headers, &self.body),
            )),
        }
    }

    /// Whether all instances have been told, as far as it says. An older Herald answers when they have, and does not say so.
    pub(super) fn is_told(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Said {
            told: bool,
        }
        serde_json::from_slice::<Said>(&self.body).is_ok_and(|said| said.told) || self.body.is_empty()
    }

    /// Its body, whatever the status.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A client of one Herald.
pub(super) struct Rest<'a> {
    server: &'a Server,
    client: Option<HttpClient>,
}

impl<'a> Rest<'a> {
    /// Not connected yet.
    pub(super) fn new(server: &'a Server) -> Self {
        Self { server, client: None }
    }

    /// Sends one request, at most once, and reads its answer. `path` follows the base path; `wait` is the time that
    /// the request itself asks for.
    ///
    /// # Errors
    /// No connection, or no answer in time. A refusal counts as an answer.
    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        let request = self.prepare(method, path, headers, body)?;
        let answer = self.client()?.send(request, ANSWER_TIMEOUT + wait).await;
        let (head, body) = answer
            .map_err(|error| {
                ClientError::Unavailable(match error {
                    HttpClientError::Connect(_) => {
                        format!("cannot reach Herald at {}: {error}", self.server.endpoint)
                    }
                    HttpClientError::Timeout(within) => format!("no answer within {} s", within.as_secs()),
                    _ => format!("no answer: {error}"),
                })
            })?
            .into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// A GET.
    ///
    /// # Errors
    /// As of [`Self::request`].
    pub(super) async fn get(&mut self, path: &str, wait: Duration) -> Result<Answer, ClientError> {
        Box::pin(self.request(Method::GET, path, &[], Bytes::new(), wait)).await
    }

    fn prepare(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Request<Bytes>, ClientError> {
        let endpoint = &self.server.endpoint;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{endpoint}{path}"))
            .header(header::USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")));
        if let Some(value) = self.authorization()? {
            request = request.header(header::AUTHORIZATION, value);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body);
        request.map_err(|error| ClientError::Usage(format!("no request can be made of this: {error}")))
    }

    /// A key takes precedence over a login: it has scopes, a user only roles.
    fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let text = match (&self.server.key, &self.server.login) {
            (Some(key), _) => format!("Bearer {}", key.expose()),
            (None, Some(login)) => {
                let secret = login.secret.expose();
                match &login.user {
                    None => format!("Bearer {secret}"),
                    Some(user) => {
                        let pair = zeroize::Zeroizing::new(format!("{user}:{secret}"));
                        format!("Basic {}", STANDARD.encode(pair.as_bytes()))
                    }
                }
            }
            (None, None) => return Ok(None),
        };
        let text = zeroize::Zeroizing::new(text);
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| ClientError::Usage("a key is one line of visible ASCII".into()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn client(&mut self) -> Result<&HttpClient, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None if self.server.endpoint.tls => {
                let endpoint = &self.server.endpoint;
                let trust = connection::trust(self.server).map_err(|error| {
                    ClientError::Usage(format!("cannot reach Herald at {endpoint}: {error}"))
                })?;
                HttpClient::new(trust, ANSWER_MAX_BYTES)
            }
            None => HttpClient::plain(ANSWER_MAX_BYTES)
                .map_err(|error| ClientError::Failure(error.to_string()))?,
        };
        Ok(self.client.insert(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_s_segments_are_escaped_and_its_slashes_are_not() {
        assert_eq!(segments("/queue/a b/ä").unwrap(), "queue/a%20b/%C3%A4");
        assert_eq!(segments("/queue/a?b#c%").unwrap(), "queue/a%3Fb%23c%25");
        assert!(segments("queue").is_err());
    }
}
