//! What a parsed and permitted frame requests. Pure data between `state` and `driver`.

use bytes::Bytes;

use crate::close_reason::CloseReason;
use crate::delivery::command::{Acknowledgement, Subscription};
use crate::destination::{Destination, Path};
use crate::envelope::{CollapseKey, Headers, OVERHEAD_BYTES, TraceContext};
use crate::interceptor::{Denied, Reject};
use crate::limit::Limit;
use crate::stomp::Frame;

/// A SEND that has been checked and not sent yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The destination.
    pub destination: Destination,
    /// The destination as the client wrote it.
    pub text: Box<str>,
    /// `content-type`.
    pub content_type: Option<Box<str>>,
    /// The client's own headers, filtered.
    pub headers: Headers,
    /// `correlation-id`, repeated in the answer.
    pub correlation_id: Option<Box<str>>,
    /// `herald-collapse`
    pub collapse: Option<CollapseKey>,
    /// `reply-to`: one of the sender's user destinations, without the user prefix.
    pub reply_to: Option<Path>,
    /// The body.
    pub body: Bytes,
    /// The client's trace context.
    pub trace: TraceContext,
}

/// A step of a transaction that waits for its COMMIT.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A SEND.
    Send(Send),
    /// An ACK or NACK.
    Acknowledge(Acknowledgement),
}

impl Step {
    /// The bytes that the step takes in memory while it waits, as [`crate::envelope::Envelope::weight`] has it.
    pub(super) fn weight(&self) -> usize {
        let length = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let held = match self {
            Self::Send(send) => {
                // The destination is held twice: as written and as understood.
                2 * send.text.len()
                    + send.body.len()
                    + send.headers.weight()
                    + send.trace.weight()
                    + length(&send.content_type)
                    + length(&send.correlation_id)
                    + send.collapse.as_ref().map_or(0, |key| key.as_str().len())
                    + send.reply_to.as_ref().map_or(0, |path| path.as_str().len())
            }
            Self::Acknowledge(ack) => ack.message_id.as_str().len() + ack.trace.weight(),
        };
        OVERHEAD_BYTES + held
    }
}

/// What the driver does for one frame. `receipt` is the frame's `receipt` header: a RECEIPT is sent when it is done.
pub enum Action {
    /// Nothing but the receipt: BEGIN, or a frame that waits in its transaction.
    Done {
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// The same, and so many ACKs and NACKs have settled nothing: one of something unknown, or those of an ABORT.
    Idle {
        /// How many.
        frames: u32,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// Subscribe.
    Subscribe {
        /// The subscription.
        subscription: Box<Subscription>,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
        /// The frame's `last-message-id` header. If it has one, it has a receipt.
        after: Option<Box<str>>,
    },
    /// Unsubscribe.
    Unsubscribe {
        /// The session's own number of the subscription.
        number: u32,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// Pass on an ACK or NACK.
    Acknowledge {
        /// The ACK or NACK.
        ack: Acknowledgement,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// One SEND.
    Send {
        /// The SEND.
        send: Box<Send>,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// The steps of a transaction, in order.
    Commit {
        /// The steps.
        steps: Vec<Step>,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// Renew the session by what the frame presents.
    Renew {
        /// The SEND, whose headers are read as those of a CONNECT.
        frame: Box<Frame>,
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// Say goodbye.
    Disconnect {
        /// The frame's `receipt` header.
        receipt: Option<Box<str>>,
    },
    /// Another action, and what the client should know about its frame.
    Noted {
        /// The action: never another of this kind.
        action: Box<Action>,
        /// What it should know.
        note: Note,
    },
}

/// A frame that is legal and probably does not do what its client means: said on the errors destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The kind, for programs.
    pub code: &'static str,
    /// The same, for people.
    pub message: String,
    /// The frame's destination, as the client wrote it.
    pub destination: Option<Box<str>>,
}

/// A frame that ends the session, and what its ERROR says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Determines the close code.
    pub reason: CloseReason,
    /// The limit that was hit, if one was.
    pub limit: Option<Limit>,
    /// What the permissions refused, if they did.
    pub denied: Option<Box<Denied>>,
    /// The `message` header of the ERROR.
    pub message: String,
    /// The `receipt` header of the offending frame (STOMP rule E2).
    pub receipt: Option<Box<str>>,
    /// The destination of an offending SEND or SUBSCRIBE, as the client wrote it. For the log alone.
    pub destination: Option<Box<str>>,
    /// Further headers of the ERROR, such as `version` after a failed negotiation.
    pub headers: Vec<(&'static str, String)>,
    /// The body of the ERROR, plain text.
    pub body: &'static str,
}

impl Refusal {
    /// A refusal for `reason` with the words `message`.
    pub fn new(reason: CloseReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            limit: None,
            denied: None,
            message: message.into(),
            receipt: None,
            destination: None,
            headers: Vec::new(),
            body: "",
        }
    }

    /// The same refusal, because `limit` was hit.
    pub fn at(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same refusal, in answer to a frame with this `receipt`.
    pub fn with_receipt(mut self, receipt: Option<&str>) -> Self {
        self.receipt = receipt.map(Into::into);
        self
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let retry_after = reject.retry_after.map(|after| after.as_millis().to_string());
        Self {
            limit: reject.limit,
            denied: reject.denied,
            headers: retry_after.map(|ms| ("retry-after-ms", ms)).into_iter().collect(),
            ..Self::new(reject.reason, reject.message)
        }
    }
}
