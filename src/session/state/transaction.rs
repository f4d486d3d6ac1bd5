//! The open transactions of one session (STOMP rules T1 to T3). Everything in them is bounded.

use super::{Limits, Refusal, check_id, malformed};
use crate::close_reason::CloseReason;
use crate::limit::{Limit, Share};
use crate::principal::UserName;
use crate::session::action::Step;

struct Transaction {
    id: Box<str>,
    steps: Vec<Step>,
    /// What the steps hold of `limits.transaction_total_bytes`. Here, so that a session without one keeps nothing for it.
    share: Share,
    bytes: usize,
}

/// Those that have begun and are neither committed nor aborted.
#[derive(Default)]
pub(super) struct Transactions {
    open: Vec<Transaction>,
    bytes: usize,
}

impl Transactions {
    /// BEGIN in a session of `owner`.
    pub(super) fn begin(&mut self, id: &str, owner: &UserName, limits: &Limits) -> Result<(), Refusal> {
        if self.position(id).is_some() {
            return Err(malformed("BEGIN: header transaction names an open transaction"));
        }
        check_id("BEGIN", "transaction", id, limits.id_bytes)?;
        if self.open.len() >= limits.transactions {
            let message = format!(
                "BEGIN: at most {} open transactions (limits.transactions)",
                limits.transactions
            );
            return Err(Refusal::new(CloseReason::Limit, message).at(Limit::Transactions));
        }
        self.open.push(Transaction {
            id: id.into(),
            steps: Vec::new(),
            share: limits.transaction_total.share(owner),
            bytes: 0,
        });
        Ok(())
    }

    /// A SEND, ACK or NACK that waits for its COMMIT (STOMP rule T2); `command` is its name.
    pub(super) fn add(
        &mut self,
        id: &str,
        command: &str,
        step: Step,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let index = self.position(id).ok_or_else(|| unknown(command))?;
        let weight = step.weight();
        let bytes = self.bytes.saturating_add(weight);
        let transaction = &mut self.open[index];
        if transaction.steps.len() >= limits.transaction_actions {
            let limit = limits.transaction_actions;
            let message =
                format!("{command}: at most {limit} frames in a transaction (limits.transaction_actions)");
            return Err(Refusal::new(CloseReason::Limit, message).at(Limit::TransactionActions));
        }
        if bytes > limits.transaction_bytes {
            let limit = limits.transaction_bytes;
            let message =
                format!("{command}: open transactions are over {limit} bytes (limits.transaction_bytes)");
            return Err(Refusal::new(CloseReason::Limit, message).at(Limit::TransactionBytes));
        }
        // No more than `bytes`.
        let held = transaction.bytes + weight;
        if !transaction.share.hold(held) {
            let limit = Limit::TransactionTotalBytes;
            let message = format!(
                "{command}: too many open transactions of all sessions, come again later ({})",
                limit.name()
            );
            return Err(Refusal::new(CloseReason::Overloaded, message).at(limit));
        }
        transaction.bytes = held;
        transaction.steps.push(step);
        self.bytes = bytes;
        Ok(())
    }

    /// COMMIT: gives what it held, in its order.
    pub(super) fn commit(&mut self, id: &str) -> Result<Vec<Step>, Refusal> {
        self.end(id, "COMMIT")
    }

    /// ABORT. Returns how many ACKs and NACKs never came into effect.
    pub(super) fn abort(&mut self, id: &str) -> Result<u32, Refusal> {
        let steps = self.end(id, "ABORT")?;
        let acks = steps.iter().filter(|step| matches!(step, Step::Acknowledge(_)));
        Ok(u32::try_from(acks.count()).unwrap_or(u32::MAX))
    }

    /// For a frame that names a transaction and has nothing to leave in it.
    pub(super) fn must_be_open(&self, id: &str, command: &str) -> Result<(), Refusal> {
        self.position(id).map(drop).ok_or_else(|| unknown(command))
    }

    fn end(&mut self, id: &str, command: &str) -> Result<Vec<Step>, Refusal> {
        let index = self.position(id).ok_or_else(|| unknown(command))?;
        let ended = self.open.remove(index);
        self.bytes -= ended.bytes;
        Ok(ended.steps)
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.open.iter().position(|transaction| *transaction.id == *id)
    }
}

fn unknown(command: &str) -> Refusal {
    malformed(format!("{command}: header transaction names no open transaction"))
}
