//! Storms of logins with tokens, beside the same storm with passwords that are remembered: new tokens, the same tokens
//! again, and new ones over TLS. Existing sessions must not wait meanwhile.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::ClientConfig;

use super::Options;
use super::certificate::Certificate;
use super::issuer::{Algorithm, Issuer, in_an_hour};
use crate::Outcome;
use crate::process::Server;
use crate::report::spread;
use crate::session::{PASSCODE, connect_frame_by, connect_frame_of};
use crate::storm::{Again, Crowd, Stayed};
use crate::table::Table;

/// Sessions that stayed.
const STAYED: usize = 100;
/// Each sort of storm takes this many turns, each with a Herald of its own.
const ROUNDS: usize = 3;

/// What the turns of one sort came to.
#[derive(Default)]
struct Turns {
    took: Vec<f64>,
    refused: Vec<f64>,
    slowest: Vec<f64>,
    cpu: Vec<f64>,
    /// Signatures verified meanwhile, where there should be none.
    signatures: Vec<f64>,
}

impl Turns {
    fn add(
        &mut self,
        options: &Options,
        herald: &Server,
        frame: impl Fn(usize) -> String,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Outcome<()> {
        // Those who stayed speak plainly: of a Herald with TLS there are none.
        let stayed = match tls {
            None => Some(Stayed::start(herald, STAYED)?),
            Some(_) => None,
        };
        sleep(Duration::from_secs(1));
        if let Some(stayed) = &stayed {
            stayed.turn()?;
        }
        let before = herald.cpu_of_threads()?;
        let storm = Crowd::storm(
            herald.address,
            options.sessions,
            Again::Told,
            frame,
            tls.cloned(),
            Vec::new(),
        )?;
        self.took.push(storm.took.as_secs_f64());
        self.refused.push(storm.refused as f64);
        self.cpu
            .push(herald.cpu_of_threads()?.saturating_sub(before).as_secs_f64());
        if let Some(stayed) = stayed {
            self.slowest.push(stayed.end()?.max_ms);
        }
        Ok(())
    }

    /// Adds the row.
    ///
    /// # Errors
    /// A signature was verified where none should be.
    fn tell(self, table: &mut Table, what: &str, goal: &str) -> Outcome<()> {
        let mut figure = format!(
            "{} s; Herald's CPU {} s; refused {}",
            spread(self.took),
            spread(self.cpu),
            spread(self.refused)
        );
        let too_many = self.signatures.iter().any(|count| *count > 0.0);
        let signatures = spread(self.signatures);
        if !signatures.is_empty() {
            figure += &format!("; signatures {signatures}");
        }
        let beside = match self.slowest.is_empty() {
            true => String::new(),
            false => format!("slowest notification meanwhile {} ms", spread(self.slowest)),
        };
        table.row(what, goal, &figure, &beside);
        match too_many {
            true => Err(format!("{what}: {signatures} signatures were verified").into()),
            false => Ok(()),
        }
    }
}

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let count = options.sessions;
    let mut passwords = Turns::default();
    for _ in 0..ROUNDS {
        let herald = options.start(&[])?;
        let frame = |number: usize| connect_frame_of(&format!("test{}", 1 + number % 10), PASSCODE, "0,0");
        passwords.add(options, &herald, frame, None)?;
    }
    passwords.tell(
        table,
        &format!("storm of {count}, ten demo users by password"),
        "",
    )?;
    let certificate = Certificate::new()?;
    for (algorithm, tls, goal) in [
        (Algorithm::Rs256, false, "≤ 0.7 s, nobody refused, ≤ 50 ms"),
        (Algorithm::Es256, false, "≤ 0.9 s, nobody refused"),
        (Algorithm::Rs256, true, "≤ 1.8 s"),
    ] {
        let issuer = Issuer::new(algorithm)?;
        let config = issuer.config();
        let tokens = issuer.tokens(count, 0, in_an_hour()?)?;
        let (mut first, mut again) = (Turns::default(), Turns::default());
        for _ in 0..ROUNDS {
            let mut settings = vec![("HERALD_CONFIG", config.as_str())];
            if tls {
                settings.extend(certificate.settings());
            }
            let herald = options.start(&settings)?;
            let frame = |number: usize| connect_frame_by(tokens.get(number).map_or("", |token| token));
            let tls = tls.then_some(&certificate.client);
            first.add(options, &herald, frame, tls)?;
            let before = verified(&herald)?;
            if before < count as f64 {
                return Err(format!("{before} signatures were counted for {count} new tokens").into());
            }
            again.add(options, &herald, frame, tls)?;
            again.signatures.push(verified(&herald)? - before);
        }
        let over = if tls { ", over TLS" } else { "" };
        let what = format!(
            "storm of {count} distinct users by {} token{over}",
            algorithm.name()
        );
        first.tell(table, &what, goal)?;
        again.tell(
            table,
            &format!("{what}, the same tokens again"),
            "≤ 0.5 s, no signature",
        )?;
    }
    Ok(())
}

/// How many tokens Herald has verified: those that it did not remember.
fn verified(herald: &Server) -> Outcome<f64> {
    herald.metric("token_verify_duration_seconds_count")
}
