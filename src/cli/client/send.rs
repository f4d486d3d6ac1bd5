//! `herald send`: sends a SEND as a browser does, and shows the answer, if an application answers.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::body::BodyArgs;
use super::session::Session;
use super::{ClientError, Server, ServerArgs, paint, show};
use crate::setting::HumanDuration;
use crate::stomp::client::{ReceivedFrame, ServerCommand};

/// How long an answer may take if --timeout does not say.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The ids of the two subscriptions, and of the SEND's receipt.
const ANSWERS: &str = "answers";
const ERRORS: &str = "errors";
const SENT: &str = "sent";

/// The arguments of `herald send`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald send /app/orders '{\"order\":7}' -t application/json --answer
  herald send /chat/init/users '' --answer --json
  herald send /chat/message 'hello, everybody'
  herald send /topic/news --file news.md -t text/markdown

Without --answer it ends once Herald has the frame (RECEIPT). With it, it prints the answer, or the error with exit code 1, or 75
if Herald cannot pass the frame on now.")]
pub struct SendArgs {
    /// The destination: /app/… or /chat/… (a backend or a built-in route), or a broadcast that permissions.send permits.
    pub destination: String,
    /// The body to send.
    #[command(flatten)]
    pub body: BodyArgs,
    /// Waits for the answer of an application destination and prints it.
    #[arg(long)]
    pub answer: bool,
    /// How long to wait for the answer. Default: 10s.
    #[arg(long, value_name = "DURATION", requires = "answer")]
    pub timeout: Option<HumanDuration>,
    /// The user destination for the answer. Errors arrive at queue/errors below the same prefix.
    #[arg(
        long,
        value_name = "DESTINATION",
        default_value = "/user/queue/herald-send",
        requires = "answer"
    )]
    pub reply_to: String,
    /// Prints the outcome as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The STOMP endpoint (http.ws_path).
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    pub ws_path: String,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Sent<'a> {
    destination: &'a str,
    user: &'a str,
    sent: bool,
}

/// A MESSAGE on the errors destination.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    message: String,
    correlation_id: Option<String>,
}

impl From<Problem> for ClientError {
    fn from(Problem { code, message, .. }: Problem) -> Self {
        let words = paint::printable(&format!("{code}: {message}"));
        match &*code {
            "unavailable" | "overloaded" | "history_full" | "outcome_unknown" => Self::TryLater(words),
            _ => Self::Failure(words),
        }
    }
}

/// Sends, and prints the result.
///
/// # Errors
/// No Herald, its refusal, the application's error, no answer in time, or an output that fails.
pub async fn run(args: SendArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let login = server.require_login()?;
    let own = args.body.headers()?;
    let body = args.body.read()?;
    let mut session = Box::pin(Session::open(&server, &args.ws_path, login)).await?;
    let id = correlation_id(&own);
    let mut headers = vec![("destination", &*args.destination), ("receipt", SENT)];
    headers.extend(args.body.content_type.as_deref().map(|of| ("content-type", of)));
    if args.answer {
        headers.extend([("correlation-id", &*id), ("reply-to", &*args.reply_to)]);
        for (id, destination) in [(ANSWERS, &args.reply_to), (ERRORS, &errors(&args.reply_to)?)] {
            session.subscribe(id, destination, "auto", None).await?;
            session.receipt(id).await?;
        }
    }
    headers.extend(own);
    session.publish(&headers, &body).await?;
    if args.answer {
        let lasts = args.timeout.map_or(ANSWER_TIMEOUT, |timeout| timeout.0);
        let answer = tokio::time::timeout(lasts, Box::pin(answer(&mut session, &id))).await;
        let answer = answer.map_err(|_| {
            let (to, seconds) = (&args.destination, lasts.as_secs_f64());
            ClientError::Failure(format!("no answer from {to} within {seconds} s"))
        })??;
        print_answer(&args, &answer)?;
    } else {
        session.receipt(SENT).await?;
        print_sent(&args, &session.user)?;
    }
    session.close().await;
    Ok(())
}

/// The sender's own, else a new one.
fn correlation_id(own: &[(&str, &str)]) -> String {
    let given = own.iter().find(|(name, _)| *name == "correlation-id");
    given.map_or_else(|| Ulid::new().to_string(), |(_, id)| (*id).to_owned())
}

/// Where Herald reports what went wrong: below the same prefix as `reply_to`.
fn errors(reply_to: &str) -> Result<String, ClientError> {
    let prefix = reply_to.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match prefix {
        Some((prefix, _)) => Ok(format!("/{prefix}/queue/errors")),
        None => Err(ClientError::Usage(format!(
            "--reply-to: expected one of your own destinations, such as /user/queue/answers: {reply_to:?}"
        ))),
    }
}

/// The answer with this correlation id.
async fn answer(session: &mut Session, id: &str) -> Result<ReceivedFrame, ClientError> {
    loop {
        let frame = session.next().await?;
        if frame.command != ServerCommand::Message {
            continue;
        }
        match frame.headers.get("subscription") {
            Some(ANSWERS) if frame.headers.get("correlation-id") == Some(id) => return Ok(frame),
            Some(ERRORS) => {
                if let Ok(problem) = serde_json::from_slice::<Problem>(&frame.body)
                    && problem.correlation_id.as_deref() == Some(id)
                {
                    return Err(problem.into());
                }
            }
            _ => {}
        }
    }
}

fn print_answer(args: &SendArgs, answer: &ReceivedFrame) -> std::io::Result<()> {
    if args.json {
        return paint::json_line(&show::Shown::of(answer));
    }
    let mut out = anstream::stdout().lock();
    show::write_body(&mut out, answer)?;
    out.flush()
}

fn print_sent(args: &SendArgs, user: &str) -> std::io::Result<()> {
    if args.json {
        let destination = &args.destination;
        return paint::json_line(&Sent {
            destination,
            user,
            sent: true,
        });
    }
    let (good, name) = (paint::GOOD, paint::NAME);
    let destination = paint::one_line(&args.destination);
    let mut out = anstream::stdout().lock();
    writeln!(out, "{good}sent{good:#} {name}{destination}{name:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_below_the_prefix_of_the_answers() {
        assert_eq!(errors("/user/queue/x").unwrap(), "/user/queue/errors");
        assert_eq!(errors("/me/a/b").unwrap(), "/me/queue/errors");
        assert!(errors("user").is_err() && errors("/user").is_err());
        assert_eq!(correlation_id(&[("a", "b"), ("correlation-id", "7")]), "7");
        assert_eq!(correlation_id(&[]).len(), 26);
    }

    #[test]
    fn what_may_pass_later_is_told_from_what_is_wrong() {
        let code = |code: &str| {
            let problem = Problem {
                code: code.into(),
                message: "why".into(),
                correlation_id: None,
            };
            ClientError::from(problem).exit_code()
        };
        assert_eq!((code("unavailable"), code("overloaded")), (75, 75));
        assert_eq!((code("no_responders"), code("timeout")), (1, 1));
    }
}
