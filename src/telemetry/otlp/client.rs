//! OTLP over HTTP/1.1, in the clear or over TLS: one request after the other to one collector, over a connection that is kept
//! while it lasts. Knows nothing of what it sends.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{Authorities, is_https};

/// Most of an answer that is read.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// The way to one collector. What is sent is to be bounded in time by the caller.
pub struct Client {
    host: String,
    port: u16,
    /// None: in the clear.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The connection of the last request, if that went well.
    kept: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Ends with its handle.
    _driver: AbortOnDropHandle<()>,
}

impl Client {
    /// Connects with the first request.
    ///
    /// # Errors
    /// What was expected of the address.
    pub fn new(endpoint: &str, authorities: &Authorities) -> Result<Self, String> {
        let expected =
            || "expected an address such as http://127.0.0.1:4318 or https://collector.example".to_owned();
        let uri: Uri = endpoint.parse().map_err(|_| expected())?;
        let https = is_https(endpoint);
        if !https && uri.scheme_str() != Some("http") {
            return Err(expected());
        }
        let host = uri.host().ok_or_else(expected)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let tls = match https {
            true => {
                let name = ServerName::try_from(host.clone()).map_err(|_| expected())?;
                Some((TlsConnector::from(Arc::new(authorities.rustls()?)), name))
            }
            false => None,
        };
        Ok(Self {
            host,
            port,
            tls,
            kept: Mutex::new(None),
        })
    }

    /// Sends one request, and gives the answer whatever its status.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut request = to_origin(request)?.map(Full::new);
        let kept = self.kept.lock().take();
        let mut answered = None;
        if let Some(mut connection) = kept {
            match connection.sender.try_send_request(request).await {
                Ok(answer) => {
                    answered = Some((connection, answer));
                    request = Request::default();
                }
                // The collector closed it meanwhile, and has seen nothing of this.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let (connection, answer) = match answered {
            Some(answered) => answered,
            None => {
                let mut connection = self.connect().await?;
                let answer = connection.sender.send_request(request).await?;
                (connection, answer)
            }
        };
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await?.to_bytes();
        if !connection.sender.is_closed() {
            *self.kept.lock() = Some(connection);
        }
        Ok(Response::from_parts(head, body))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "one connection to a collector, which ends with its sender"
    )]
    async fn connect(&self) -> Result<Connection, HttpError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (sender, driver) = match &self.tls {
            None => {
                let (sender, driving) = handshake(TokioIo::new(stream)).await?;
                // An error reaches the sender as well.
                (sender, tokio::spawn(async move { drop(driving.await) }))
            }
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let (sender, driving) = handshake(TokioIo::new(stream)).await?;
                (sender, tokio::spawn(async move { drop(driving.await) }))
            }
        };
        Ok(Connection {
            sender,
            _driver: AbortOnDropHandle::new(driver),
        })
    }
}

/// To the form in which HTTP/1.1 asks a server, with `Host`.
fn to_origin(mut request: Request<Bytes>) -> Result<Request<Bytes>, HttpError> {
    let uri = std::mem::take(request.uri_mut());
    if let Some(authority) = uri.authority() {
        let host = authority.as_str();
        // Without what may be a password.
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let host = HeaderValue::from_str(host)?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    *request.uri_mut() = path.parse()?;
    Ok(request)
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Answering<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(self.send(request))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}:{})", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_one_of_http() {
        let check = |endpoint: &str, expected: Option<(&str, u16, bool)>| {
            let client = Client::new(endpoint, &Authorities::default());
            let told = client.as_ref().ok();
            let told = told.map(|client| (client.host.as_str(), client.port, client.tls.is_some()));
            assert_eq!(told, expected, "{endpoint}");
        };
        check("http://c/v1/traces", Some(("c", 80, false)));
        check("https://c", Some(("c", 443, true)));
        check("https://[::1]:4318", Some(("::1", 4_318, true)));
        check("http://user:password@c:1", Some(("c", 1, false)));
        for bad in ["c:4318", "ftp://c", "", "/v1/traces"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_request_goes_to_the_server_without_its_password() {
        let request = Request::post("http://user:password@c:1/in?x=1").body(Bytes::new());
        let request = to_origin(request.unwrap()).unwrap();
        assert_eq!(request.uri(), "/in?x=1");
        assert_eq!(request.headers()[header::HOST], "c:1");
    }
}
