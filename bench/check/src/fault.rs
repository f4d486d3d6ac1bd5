//! Faults: drawn from a seed, done to the plant and healed again. Each is over, and all is ready, before the next.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::Outcome;
use crate::options::Options;
use crate::plant::Plant;

/// Draws faults: each that the plan has once, in a drawn order, then all again.
pub struct Draw {
    random: fastrand::Rng,
    bag: Vec<u8>,
}

impl Draw {
    /// Draws the same from the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            bag: Vec::new(),
        }
    }

    /// The next one.
    pub fn next(&mut self, options: &Options) -> Fault {
        let random = &mut self.random;
        if self.bag.is_empty() {
            self.bag = match (options.servers, options.forget) {
                (0, false) => (0..=3).collect(),
                (0, true) => vec![1, 4, 5],
                _ => (0..=12).collect(),
            };
            random.shuffle(&mut self.bag);
        }
        let instance = random.usize(..options.instances);
        let server = random.usize(..options.servers.max(1));
        let ms = random.u64(500..4_500);
        match self.bag.pop().unwrap_or_default() {
            0 => Fault::CutClients {
                instance,
                percent: 100,
            },
            1 => Fault::CutClients {
                instance,
                percent: 40,
            },
            2 => Fault::HangClients { instance, ms },
            3 => Fault::Pause { instance, ms },
            4 => Fault::Kill { instance, ms: ms / 4 },
            5 => Fault::Restart { instance },
            6 => Fault::CutBus { instance },
            7 => Fault::HangBus { instance, ms: 2 * ms },
            8 => Fault::KillNats { server, ms },
            9 => Fault::RestartNats { server },
            10 => Fault::PauseNats { server, ms: 2 * ms },
            11 => Fault::KillAll,
            _ => Fault::KillAllNats,
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// RST to so many of a hundred of an instance's clients and publishers.
    CutClients { instance: usize, percent: u8 },
    /// Nothing passes between an instance and its clients.
    HangClients { instance: usize, ms: u64 },
    /// SIGSTOP, then SIGCONT.
    Pause { instance: usize, ms: u64 },
    /// `kill -9`, and a new start later.
    Kill { instance: usize, ms: u64 },
    /// SIGTERM, and a new start at once.
    Restart { instance: usize },
    /// RST between an instance and NATS.
    CutBus { instance: usize },
    /// Nothing passes between an instance and NATS.
    HangBus { instance: usize, ms: u64 },
    /// `kill -9` of a NATS server, and a new start later.
    KillNats { server: usize, ms: u64 },
    /// SIGTERM of a NATS server, and a new start at once.
    RestartNats { server: usize },
    /// SIGSTOP of a NATS server, then SIGCONT.
    PauseNats { server: usize, ms: u64 },
    /// `kill -9` of all instances, and a new start at once.
    KillAll,
    /// `kill -9` of all NATS servers, and a new start at once.
    KillAllNats,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CutClients { instance, percent } => {
                write!(f, "cut {percent} % of the connections of herald-{}", instance + 1)
            }
            Self::HangClients { instance, ms } => {
                write!(f, "hold the connections of herald-{} for {ms} ms", instance + 1)
            }
            Self::Pause { instance, ms } => write!(f, "stop herald-{} for {ms} ms", instance + 1),
            Self::Kill { instance, ms } => write!(f, "kill herald-{} for {ms} ms", instance + 1),
            Self::Restart { instance } => write!(f, "restart herald-{}", instance + 1),
            Self::CutBus { instance } => write!(f, "cut herald-{} from NATS", instance + 1),
            Self::HangBus { instance, ms } => {
                write!(
                    f,
                    "hold what is between herald-{} and NATS for {ms} ms",
                    instance + 1
                )
            }
            Self::KillNats { server, ms } => write!(f, "kill nats-{} for {ms} ms", server + 1),
            Self::RestartNats { server } => write!(f, "restart nats-{}", server + 1),
            Self::PauseNats { server, ms } => write!(f, "stop nats-{} for {ms} ms", server + 1),
            Self::KillAll => write!(f, "kill all instances"),
            Self::KillAllNats => write!(f, "kill all NATS servers"),
        }
    }
}

impl Fault {
    /// Of which sort it is, for the report.
    pub fn sort(self) -> &'static str {
        match self {
            Self::CutClients { .. } => "clients cut",
            Self::HangClients { .. } => "clients held",
            Self::Pause { .. } => "instance stopped",
            Self::Kill { .. } => "instance killed",
            Self::Restart { .. } => "instance restarted",
            Self::CutBus { .. } => "cut from NATS",
            Self::HangBus { .. } => "held from NATS",
            Self::KillNats { .. } => "NATS server killed",
            Self::RestartNats { .. } => "NATS server restarted",
            Self::PauseNats { .. } => "NATS server stopped",
            Self::KillAll => "all instances killed",
            Self::KillAllNats => "all NATS servers killed",
        }
    }

    /// Does it, and heals it.
    pub async fn apply(self, plant: &mut Plant) -> Outcome<()> {
        self.hurt(plant)
            .await
            .map_err(|error| format!("{self}: {error}"))?;
        plant
            .ready()
            .await
            .map_err(|error| format!("after `{self}`: {error}"))?;
        Ok(())
    }

    async fn hurt(self, plant: &mut Plant) -> Outcome<()> {
        let none = || format!("{self:?}: nobody is there");
        let Plant { instances, servers } = plant;
        match self {
            Self::CutClients { instance, percent } => {
                instances.get(instance).ok_or_else(none)?.door.cut(percent);
            }
            Self::HangClients { instance, ms } => {
                instances
                    .get(instance)
                    .ok_or_else(none)?
                    .door
                    .hang(millis(ms))
                    .await;
            }
            Self::Pause { instance, ms } => {
                let process = &instances.get(instance).ok_or_else(none)?.process;
                process.signal(Signal::STOP)?;
                sleep(millis(ms)).await;
                process.signal(Signal::CONT)?;
            }
            Self::Kill { instance, ms } => {
                let process = &mut instances.get_mut(instance).ok_or_else(none)?.process;
                process.end(Signal::KILL).await?;
                sleep(millis(ms)).await;
                process.start()?;
            }
            Self::Restart { instance } => {
                let process = &mut instances.get_mut(instance).ok_or_else(none)?.process;
                process.end(Signal::TERM).await?;
                process.start()?;
            }
            Self::CutBus { instance } => {
                for proxy in &instances.get(instance).ok_or_else(none)?.to_nats {
                    proxy.cut(100);
                }
            }
            Self::HangBus { instance, ms } => {
                let proxies = &instances.get(instance).ok_or_else(none)?.to_nats;
                futures_util::future::join_all(proxies.iter().map(|proxy| proxy.hang(millis(ms)))).await;
            }
            Self::KillNats { server, ms } => {
                let process = servers.get_mut(server).ok_or_else(none)?;
                process.end(Signal::KILL).await?;
                sleep(millis(ms)).await;
                process.start()?;
            }
            Self::RestartNats { server } => {
                let process = servers.get_mut(server).ok_or_else(none)?;
                process.end(Signal::TERM).await?;
                process.start()?;
            }
            Self::PauseNats { server, ms } => {
                let process = servers.get(server).ok_or_else(none)?;
                process.signal(Signal::STOP)?;
                sleep(millis(ms)).await;
                process.signal(Signal::CONT)?;
            }
            Self::KillAll => {
                for instance in instances.iter_mut() {
                    instance.process.end(Signal::KILL).await?;
                }
                for instance in instances {
                    instance.process.start()?;
                }
            }
            Self::KillAllNats => {
                for server in servers.iter_mut() {
                    server.end(Signal::KILL).await?;
                }
                for server in servers {
                    server.start()?;
                }
            }
        }
        Ok(())
    }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;
    use crate::options::{Arguments, Mode};

    fn drawn(arguments: &[&str], count: usize) -> Vec<Fault> {
        let all = [&["herald-check", "faults"], arguments].concat();
        let Mode::Faults(options) = Arguments::try_parse_from(all).unwrap().mode else {
            panic!("another mode");
        };
        let mut draw = Draw::new(7);
        (0..count).map(|_| draw.next(&options)).collect()
    }

    #[test]
    fn a_seed_draws_the_same_faults_and_each_sort_in_turn() {
        for (arguments, count, sorts) in [
            (&[][..], 4, 3),
            (&["--forget"], 3, 3),
            (&["--nats", "3", "--instances", "3"], 13, 12),
        ] {
            let faults = drawn(arguments, count);
            assert_eq!(faults, drawn(arguments, count));
            let seen: BTreeSet<_> = faults.iter().map(|fault| fault.sort()).collect();
            assert_eq!(seen.len(), sorts, "{faults:?}");
        }
    }
}
