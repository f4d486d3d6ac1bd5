//! Faults: drawn from a seed, applied to the plant and healed again. Each is over, and everything is ready, before the
//! next one.

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
                (0, false) => (0..=4).collect(),
                (0, true) => vec![1, 5, 6],
                _ if options.rollback => vec![1, 5, 14, 15],
                _ => (0..=13).collect(),
            };
            random.shuffle(&mut self.bag);
            // The last ones are drawn first: what a short run is about comes in any case.
            self.bag.sort_by_key(|number| *number >= 14);
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
            3 => Fault::LoseAnswers { instance, ms: ms / 4 },
            4 => Fault::Pause { instance, ms },
            5 => Fault::Kill { instance, ms: ms / 4 },
            6 => Fault::Restart { instance },
            7 => Fault::CutBus { instance },
            8 => Fault::HangBus { instance, ms: 2 * ms },
            9 => Fault::KillNats { server, ms },
            10 => Fault::RestartNats { server },
            11 => Fault::PauseNats { server, ms: 2 * ms },
            12 => Fault::KillAll,
            13 => Fault::KillAllNats,
            14 => Fault::PutBackNats { ms },
            _ => Fault::EmptyNats,
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
    /// What clients and publishers send arrives, and nothing that an instance answers.
    LoseAnswers { instance: usize, ms: u64 },
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
    /// All that NATS has stored is copied, and some time later put back.
    PutBackNats { ms: u64 },
    /// All that NATS has stored is deleted.
    EmptyNats,
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
            Self::LoseAnswers { instance, ms } => {
                write!(f, "lose what herald-{} answers for {ms} ms", instance + 1)
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
            Self::PutBackNats { ms } => write!(f, "put NATS back to a state of {ms} ms before"),
            Self::EmptyNats => write!(f, "delete what NATS has stored"),
        }
    }
}

impl Fault {
    /// Of which sort it is, for the report.
    pub fn sort(self) -> &'static str {
        match self {
            Self::CutClients { .. } => "clients cut",
            Self::HangClients { .. } => "clients held",
            Self::LoseAnswers { .. } => "answers lost",
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
            Self::PutBackNats { .. } => "NATS put back",
            Self::EmptyNats => "NATS emptied",
        }
    }

    /// Whether what is stored may be gone afterwards, by the plan of the run.
    pub fn ends_history(self, options: &Options) -> bool {
        let with_process = matches!(self, Self::Kill { .. } | Self::Restart { .. } | Self::KillAll);
        matches!(self, Self::PutBackNats { .. } | Self::EmptyNats) || (options.servers == 0 && with_process)
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
        match self {
            Self::PutBackNats { ms } => {
                plant.stop_nats(Signal::TERM).await?;
                plant.keep_stores()?;
                plant.start_nats()?;
                plant.ready().await?;
                sleep(millis(ms)).await;
                plant.stop_nats(Signal::KILL).await?;
                plant.put_back_stores()?;
                return plant.start_nats();
            }
            Self::EmptyNats => {
                plant.stop_nats(Signal::KILL).await?;
                plant.empty_stores()?;
                return plant.start_nats();
            }
            Self::KillAllNats => {
                plant.stop_nats(Signal::KILL).await?;
                return plant.start_nats();
            }
            _ => {}
        }
        let Plant {
            instances, servers, ..
        } = plant;
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
            Self::LoseAnswers { instance, ms } => {
                instances
                    .get(instance)
                    .ok_or_else(none)?
                    .door
                    .deafen(millis(ms))
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
            Self::KillAllNats | Self::PutBackNats { .. } | Self::EmptyNats => {}
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
            (&[][..], 5, 4),
            (&["--forget"], 3, 3),
            (&["--nats", "3", "--instances", "3"], 14, 13),
            (&["--nats", "1", "--rollback"], 4, 4),
        ] {
            let faults = drawn(arguments, count);
            assert_eq!(faults, drawn(arguments, count));
            let seen: BTreeSet<_> = faults.iter().map(|fault| fault.sort()).collect();
            assert_eq!(seen.len(), sorts, "{faults:?}");
        }
    }
}
