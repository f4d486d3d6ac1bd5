//! The open transactions of one session (STOMP rules T1 to T3). Everything in them is bounded.

use super::{Limits, Refusal, malformed};
use crate::close_reason::CloseReason;
use crate::session::action::Send;
use crate::stomp::Command;

struct Transaction {
    id: Box<str>,
    sends: Vec<Send>,
}

/// Those that have begun and are neither committed nor aborted.
#[derive(Default)]
pub struct Transactions {
    open: Vec<Transaction>,
    bytes: usize,
}

impl Transactions {
    /// BEGIN.
    pub fn begin(&mut self, id: &str, limits: &Limits) -> Result<(), Refusal> {
        if self.position(id).is_some() {
            return Err(malformed("BEGIN: header transaction names an open transaction"));
        }
        if self.open.len() >= limits.transactions {
            let message = format!(
                "BEGIN: at most {} open transactions (limits.transactions)",
                limits.transactions
            );
            return Err(Refusal::new(CloseReason::Limit, message));
        }
        self.open.push(Transaction {
            id: id.into(),
            sends: Vec::new(),
        });
        Ok(())
    }

    /// A SEND that waits for its COMMIT.
    pub fn add(&mut self, id: &str, send: Send, limits: &Limits) -> Result<(), Refusal> {
        let index = self.position(id).ok_or_else(|| unknown("SEND"))?;
        let bytes = self.bytes.saturating_add(send.body.len());
        if self.open[index].sends.len() >= limits.transaction_actions {
            let limit = limits.transaction_actions;
            let message =
                format!("SEND: at most {limit} frames in a transaction (limits.transaction_actions)");
            return Err(Refusal::new(CloseReason::Limit, message));
        }
        if bytes > limits.transaction_bytes {
            let limit = limits.transaction_bytes;
            let message =
                format!("SEND: open transactions are over {limit} bytes (limits.transaction_bytes)");
            return Err(Refusal::new(CloseReason::Limit, message));
        }
        self.bytes = bytes;
        self.open[index].sends.push(send);
        Ok(())
    }

    /// COMMIT: gives the SENDs in their order.
    pub fn commit(&mut self, id: &str) -> Result<Vec<Send>, Refusal> {
        self.end(id, "COMMIT")
    }

    /// ABORT.
    pub fn abort(&mut self, id: &str) -> Result<(), Refusal> {
        self.end(id, "ABORT").map(drop)
    }

    /// ACK and NACK take effect at once; what they name must be open all the same.
    pub fn must_be_open(&self, id: &str, command: Command) -> Result<(), Refusal> {
        self.position(id)
            .map(drop)
            .ok_or_else(|| unknown(command.as_str()))
    }

    fn end(&mut self, id: &str, command: &str) -> Result<Vec<Send>, Refusal> {
        let index = self.position(id).ok_or_else(|| unknown(command))?;
        let sends = self.open.remove(index).sends;
        self.bytes -= sends.iter().map(|send| send.body.len()).sum::<usize>();
        Ok(sends)
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.open.iter().position(|transaction| *transaction.id == *id)
    }
}

fn unknown(command: &str) -> Refusal {
    malformed(format!("{command}: header transaction names no open transaction"))
}
