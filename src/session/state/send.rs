//! SEND: its destination, its body and its headers. Pure, like the rest of [`super`].

use super::{Rules, Session, malformed, required};
use crate::close_reason::CloseReason;
use crate::destination::{Destination, Path, Target};
use crate::envelope::{
    CollapseKey, HeaderError, HeaderLimits, Headers, PublisherKind, TraceContext, is_content_type,
};
use crate::limit::Limit;
use crate::session::action::{Action, Refusal, Send, Step};
use crate::stomp::Frame;

impl Session {
    pub(super) fn send(
        &mut self,
        frame: &Frame,
        rules: &Rules,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        let text = required(frame, "destination")?;
        let destination = self.send_destination(text, rules)?;
        rules
            .chain
            .send(
                &self.principal,
                &destination,
                text,
                frame.headers.bytes() + frame.body.len(),
            )
            .map_err(Refusal::from)?;
        check_body(frame.body.len(), &destination, rules)?;
        if matches!(&destination, Destination::Application(path) if path.as_str() == Path::RENEWAL) {
            return match frame.headers.get("transaction") {
                Some(_) => Err(malformed(format!("SEND: {text} is not part of a transaction"))),
                None => Ok(Action::Renew {
                    frame: Box::new(frame.clone()),
                    receipt,
                }),
            };
        }
        let content_type = frame.headers.get("content-type").filter(|text| !text.is_empty());
        if content_type.is_some_and(|text| !is_content_type(text)) {
            return Err(malformed("SEND: header content-type is no media type"));
        }
        let send = Send {
            text: text.into(),
            content_type: content_type.map(Into::into),
            headers: own_headers(frame, rules.limits.headers)?,
            reply_to: self.reply_to(frame, &destination, rules)?,
            collapse: collapse(frame)?,
            correlation_id: frame.headers.get("correlation-id").map(Into::into),
            trace: TraceContext::from_lookup(|name| frame.headers.get(name)),
            destination,
            body: frame.body.clone(),
        };
        match frame.headers.get("transaction") {
            None => Ok(Action::Send {
                send: Box::new(send),
                receipt,
            }),
            Some(transaction) => {
                self.transactions
                    .add(transaction, "SEND", Step::Send(send), &rules.limits)?;
                // Processed means: accepted into its transaction (STOMP rule T4).
                Ok(Action::Done { receipt })
            }
        }
    }

    /// Where Herald sends the answer of an application destination. On any other SEND `reply-to` is a header between
    /// clients, which Herald passes on without reading it.
    fn reply_to(
        &self,
        frame: &Frame,
        destination: &Destination,
        rules: &Rules,
    ) -> Result<Option<Path>, Refusal> {
        let (Destination::Application(_), Some(text)) = (destination, frame.headers.get("reply-to")) else {
            return Ok(None);
        };
        match rules.prefixes.for_client(text, self.principal.user()) {
            Ok(Destination::Target(Target::User { path, .. })) if !path.is_own_of_users() => Ok(Some(path)),
            _ => Err(Refusal::new(
                CloseReason::Forbidden,
                format!(
                    "SEND: header reply-to must be one of the sender's own destinations below {}/",
                    rules.prefixes.user_prefix
                ),
            )),
        }
    }
}

/// A built-in route may bound its bodies further.
fn check_body(bytes: usize, destination: &Destination, rules: &Rules) -> Result<(), Refusal> {
    let of_route = match destination {
        Destination::Application(path) => rules.routes.iter().find(|(route, _)| route == path),
        Destination::Target(_) => None,
    };
    let (most, limit) = match of_route {
        Some((_, most)) if *most < rules.limits.body_bytes => (*most, Limit::RouteBodyBytes),
        _ => (rules.limits.body_bytes, Limit::BodyBytes),
    };
    if bytes <= most {
        return Ok(());
    }
    let message = format!("SEND: the body is over {most} bytes ({})", limit.name());
    Err(Refusal::new(CloseReason::TooLarge, message).at(limit))
}

/// The client's own headers, filtered.
fn own_headers(frame: &Frame, limits: HeaderLimits) -> Result<Headers, Refusal> {
    Headers::from_publisher(frame.headers.iter(), limits).map_err(|error| {
        let reason = match error {
            HeaderError::TooMany(_) => CloseReason::Limit,
            HeaderError::TooLong(..) => CloseReason::TooLarge,
            HeaderError::BadName(_) | HeaderError::BadValue(_) => CloseReason::Malformed,
        };
        let limit = error.limit();
        let refusal = Refusal::new(reason, format!("SEND: {error}"));
        Refusal { limit, ..refusal }
    })
}

fn collapse(frame: &Frame) -> Result<Option<CollapseKey>, Refusal> {
    let key = frame.headers.get("herald-collapse").map(|text| {
        CollapseKey::parse(text, PublisherKind::Client).ok_or_else(|| {
            malformed("SEND: header herald-collapse must have 1 to 128 bytes without control characters")
        })
    });
    key.transpose()
}
