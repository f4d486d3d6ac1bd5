//! Asks a backend about a login: over the bus, or with the one HTTP client. Knows no credential: questions and answers
//! are bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};

use super::Error;
use super::fetch::of_file;
use crate::auth::callout::{ANSWER_MAX_BYTES, Ask, Callout, CalloutConfig, NoAnswer, Target};
use crate::bus::{Bus, RequestError};
use crate::config::Config;
use crate::http_client::{HttpClient, HttpClientError};
use crate::instance::Instance;
use crate::setting::Findings;
use crate::tls;

/// The media type of questions and answers.
const JSON: &str = "application/json";

/// The way to the backend, before there is a bus.
pub(super) enum Asking {
    Nobody,
    ByBus,
    ByHttp(Arc<dyn Ask>),
}

impl Asking {
    /// Reads the authorities. What cannot be read is noted as an error. Blocks.
    pub(super) fn new(config: &CalloutConfig, findings: &mut Findings) -> Self {
        let uri = match &config.target {
            None => return Self::Nobody,
            Some(Target::Nats) => return Self::ByBus,
            Some(Target::Http(uri)) => uri.clone(),
        };
        let roots = match &config.ca_file {
            None => Ok(tls::system_roots()),
            Some(path) => of_file(path),
        };
        let client = roots.and_then(|roots| tls::client(roots).map_err(|error| error.to_string()));
        match client {
            Ok(tls) => {
                let client = HttpClient::keeping(tls, ANSWER_MAX_BYTES, config.at_once);
                Self::ByHttp(Arc::new(ByHttp { client, uri }))
            }
            Err(words) => {
                findings.error("auth.callout.ca_file", words);
                Self::Nobody
            }
        }
    }

    /// Whoever asks, in the name of `instance`, if anybody is to be asked.
    pub(super) fn callout(
        self,
        config: &Config,
        instance: &Instance,
        bus: &Arc<dyn Bus>,
    ) -> Result<Option<Callout>, Error> {
        let ask = match self {
            Self::Nobody => return Ok(None),
            Self::ByBus => Arc::new(ByBus(Arc::clone(bus))),
            Self::ByHttp(ask) => ask,
        };
        let callout = Callout::new(&config.auth.callout, &config.login, &instance.name, ask);
        callout
            .map(Some)
            .map_err(|error| Error::Failure(error.to_string()))
    }
}

struct ByBus(Arc<dyn Bus>);

impl Ask for ByBus {
    fn ask(&self, question: Bytes, within: Duration) -> BoxFuture<'static, Result<Bytes, NoAnswer>> {
        let bus = Arc::clone(&self.0);
        Box::pin(async move {
            let asked = bus.ask_about_login(question, within).await;
            asked.map_err(|error| match error {
                RequestError::NoResponders => NoAnswer::Nobody,
                RequestError::Timeout => NoAnswer::Timeout,
                RequestError::Unavailable => NoAnswer::Unavailable(error.to_string()),
            })
        })
    }
}

struct ByHttp {
    client: HttpClient,
    uri: Box<str>,
}

impl Ask for ByHttp {
    fn ask(&self, question: Bytes, within: Duration) -> BoxFuture<'static, Result<Bytes, NoAnswer>> {
        let request = Request::post(&*self.uri)
            .header(CONTENT_TYPE, JSON)
            .header(ACCEPT, JSON)
            .body(question);
        let client = self.client.clone();
        Box::pin(async move {
            let request = request.map_err(|error| NoAnswer::Unavailable(error.to_string()))?;
            let answer = client.send(request, within).await.map_err(|error| match error {
                HttpClientError::Timeout(_) => NoAnswer::Timeout,
                HttpClientError::TooLarge(_) => NoAnswer::Unusable(error.to_string()),
                HttpClientError::Connect(_) | HttpClientError::Broken(_) => {
                    NoAnswer::Unavailable(error.to_string())
                }
            })?;
            let status = answer.status();
            match status {
                StatusCode::OK => Ok(answer.into_body()),
                status if status.is_server_error() => {
                    Err(NoAnswer::Unavailable(format!("status {}", status.as_u16())))
                }
                status => Err(NoAnswer::Unusable(format!("status {}", status.as_u16()))),
            }
        })
    }
}
