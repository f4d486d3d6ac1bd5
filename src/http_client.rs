//! The client for every HTTP request that Herald makes itself: to collectors, and from the command line to an instance.
//! HTTP/1.1, over TLS or not, bounded in time and bytes; follows no redirect. Knows no caller.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use crate::tls;

/// How long a connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps the connection of the last request for the next one. A request that meets a connection which the server has
/// just closed, and of which nothing was sent, goes out over a new one; none is ever sent twice.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    answer_max_bytes: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpClientError {
    /// No connection; the words of the cause.
    Connect(String),
    /// The connection broke, or what came over it is not HTTP; the words of the cause.
    Broken(String),
    /// The answer's body has more bytes than this.
    TooLarge(usize),
    /// No whole answer within this time.
    Timeout(Duration),
}

impl HttpClient {
    /// A client for `https` that trusts by `tls`, and for `http`. Connects with the first request; wants a runtime then.
    pub(crate) fn new(tls: ClientConfig, answer_max_bytes: usize) -> Self {
        Self::keeping(tls, answer_max_bytes, 1)
    }

    /// The same, which keeps so many connections for whoever asks at the same time.
    pub(crate) fn keeping(tls: ClientConfig, answer_max_bytes: usize, connections: usize) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .build(connector);
        Self {
            client,
            answer_max_bytes,
        }
    }

    /// A client for `http` alone, which does not read the system's authorities: it trusts nobody.
    ///
    /// # Errors
    /// As [`tls::client`].
    pub(crate) fn plain(answer_max_bytes: usize) -> Result<Self, rustls::Error> {
        Ok(Self::new(tls::client(RootCertStore::empty())?, answer_max_bytes))
    }

    /// Sends one request to its absolute URI and reads the whole answer, whatever its status, `within` this time.
    ///
    /// # Errors
    /// Why there is no whole answer.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        within: Duration,
    ) -> Result<Response<Bytes>, HttpClientError> {
        let exchange = async {
            let answer = self.client.request(request.map(Full::new)).await;
            let (head, body) = answer
                .map_err(|error| match error.is_connect() {
                    true => HttpClientError::Connect(cause(&error)),
                    false => HttpClientError::Broken(cause(&error)),
                })?
                .into_parts();
            let body = Limited::new(body, self.answer_max_bytes).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => HttpClientError::TooLarge(self.answer_max_bytes),
                false => HttpClientError::Broken(cause(&*error)),
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HttpClientError::Timeout(within)),
        }
    }
}

/// The words of the innermost error, such as `Connection refused`: those around it say which library met it.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl fmt::Display for HttpClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) | Self::Broken(cause) => f.write_str(cause),
            Self::TooLarge(bytes) => write!(f, "the answer has more than {bytes} bytes"),
            Self::Timeout(within) => write!(f, "none within {within:?}"),
        }
    }
}

impl Error for HttpClientError {}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each request with the next of `answers`: over one connection as long as they are not
    /// followed by a `!`, which closes it. Gives its address and the heads that it got, each with its connection's number.
    async fn server(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<(usize, String)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let mut answers = answers.into_iter().peekable();
            let mut heads = Vec::new();
            for connection in 0.. {
                if answers.peek().is_none() {
                    break;
                }
                let (mut stream, _) = listener.accept().await.unwrap();
                for answer in answers.by_ref() {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    heads.push((connection, String::from_utf8(head).unwrap()));
                    stream
                        .write_all(answer.trim_end_matches('!').as_bytes())
                        .await
                        .unwrap();
                    if answer.ends_with('!') {
                        break;
                    }
                }
            }
            heads
        });
        (address, serving)
    }

    fn get(uri: &str) -> Request<Bytes> {
        Request::get(uri).body(Bytes::new()).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[tokio::test]
    async fn a_connection_is_kept_and_a_closed_one_replaced_and_no_redirect_is_followed() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n!";
        let (address, serving) = server(vec![OK, moved, OK]).await;
        let client = HttpClient::plain(100).unwrap();
        let uri = format!("http://user:password@{address}/in?x=1");
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let answer = client.send(get(&uri), SOON).await.unwrap();
            statuses.push(answer.status().as_u16());
        }
        assert_eq!(statuses, [200, 302, 200]);
        let heads = serving.await.unwrap();
        let connections: Vec<usize> = heads.iter().map(|(connection, _)| *connection).collect();
        assert_eq!(connections, [0, 0, 1]);
        for (_, head) in heads {
            assert!(head.starts_with("GET /in?x=1 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
            assert!(!head.contains("password"), "{head}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_bounded_in_bytes_and_time() {
        let client = HttpClient::plain(2).unwrap();
        let ask = async |answers: Vec<&'static str>, within: Duration| {
            let (address, _serving) = server(answers).await;
            let answer = client.send(get(&format!("http://{address}/")), within).await;
            answer.map(|answer| answer.into_body())
        };
        assert_eq!(ask(vec![OK], SOON).await, Ok(Bytes::from("ok")));
        let large = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(ask(vec![large], SOON).await, Err(HttpClientError::TooLarge(2)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\r\nno\r\n";
        assert_eq!(ask(vec![chunked], SOON).await, Err(HttpClientError::TooLarge(2)));
        let short = Duration::from_millis(50);
        for silent in ["", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"] {
            assert_eq!(
                ask(vec![silent, OK], short).await,
                Err(HttpClientError::Timeout(short))
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_from_no_connection() {
        let client = HttpClient::plain(100).unwrap();
        let (address, _serving) = server(vec!["SSH-2.0-OpenSSH_9.2\r\n!"]).await;
        let broken = client.send(get(&format!("http://{address}/")), SOON).await;
        assert!(matches!(broken, Err(HttpClientError::Broken(_))), "{broken:?}");
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let refused = client
            .send(get(&format!("http://{free}/")), SOON)
            .await
            .unwrap_err();
        assert!(matches!(refused, HttpClientError::Connect(_)), "{refused:?}");
        assert!(refused.to_string().starts_with("Connection refused"), "{refused}");
    }
}
