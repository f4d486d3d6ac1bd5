//! Instances on a bus that loses, repeats, delays and cuts off, in simulated time. Makes no promise by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::control::question::Payload;
use crate::presence::snapshot::Snapshots;

pub(super) const TICK: Duration = Duration::from_millis(100);
pub(super) const TIMING: Timing = Timing {
    digest_interval: Duration::from_secs(1),
    instance_timeout: Duration::from_secs(5),
};

/// How a node hangs on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Up,
    /// Lost, and the node knows.
    Down,
    /// Lost, and the node's client has not noticed: what it sends vanishes.
    HalfOpen,
}

pub(super) struct Node {
    pub(super) view: View,
    pub(super) snapshots: Snapshots,
    pub(super) wire: Wire,
    pub(super) connection: u64,
    pub(super) sessions: BTreeMap<UserName, u32>,
    pub(super) awake: bool,
}

/// A cluster on a bus that can lose (per cent), repeat (per cent) and delay (ms at most).
pub(super) struct Sim {
    pub(super) now: Duration,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) under_way: Vec<(Duration, usize, Output)>,
    pub(super) told: Vec<UserEvent>,
    pub(super) lose: u64,
    pub(super) repeat: u64,
    pub(super) delay_ms: u64,
    pub(super) seed: u64,
    pub(super) said: usize,
    pub(super) page_bytes: usize,
}

pub(super) fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

impl Sim {
    pub(super) fn new(nodes: usize) -> Self {
        let mut sim = Self {
            now: Duration::ZERO,
            nodes: Vec::new(),
            under_way: Vec::new(),
            told: Vec::new(),
            lose: 0,
            repeat: 0,
            delay_ms: 0,
            seed: 1,
            said: 0,
            page_bytes: 64,
        };
        (0..nodes).for_each(|_| sim.start());
        sim
    }

    /// Starts a node; its id is above those before it.
    pub(super) fn start(&mut self) {
        let index = self.nodes.len();
        let id = InstanceId::parse(&format!("0000000000000000000000000{index}")).unwrap();
        let name = format!("node{index}").into();
        let mut view = View::new(Instance { id, name }, TIMING);
        view.connected(self.now, Some(0));
        self.nodes.push(Some(Node {
            view,
            snapshots: Snapshots::default(),
            wire: Wire::Up,
            connection: 0,
            sessions: BTreeMap::new(),
            awake: true,
        }));
    }

    pub(super) fn node(&mut self, index: usize) -> &mut Node {
        self.nodes[index].as_mut().unwrap()
    }

    pub(super) fn open(&mut self, index: usize, name: &str) {
        let Some(node) = self.nodes[index].as_mut() else {
            return;
        };
        node.view.opened(&user(name));
        *node.sessions.entry(user(name)).or_default() += 1;
    }

    pub(super) fn close(&mut self, index: usize, name: &str) {
        let Some(node) = self.nodes[index].as_mut() else {
            return;
        };
        let Some(count) = node.sessions.get_mut(&user(name)) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            node.sessions.remove(&user(name));
        }
        node.view.closed(&user(name));
    }

    pub(super) fn wire(&mut self, index: usize, wire: Wire) {
        let now = self.now;
        let Some(node) = self.nodes[index].as_mut() else {
            return;
        };
        // A dead connection never comes to life again: the client makes another one.
        node.connection += u64::from(node.wire != Wire::Up && wire == Wire::Up);
        node.wire = wire;
        match wire {
            Wire::Up => node.view.connected(now, Some(node.connection)),
            Wire::Down => node.view.connected(now, None),
            Wire::HalfOpen => {}
        }
    }

    pub(super) fn leave(&mut self, index: usize) {
        let at = self.moment();
        let Some(node) = self.nodes[index].as_mut() else {
            return;
        };
        let output = node.view.leave(at);
        let wire = node.wire;
        self.send(wire, output);
        self.nodes[index] = None;
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            unix_ms: self.now.as_millis() as u64,
            page_bytes: self.page_bytes,
        }
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below
    }

    pub(super) fn send(&mut self, from: Wire, output: Vec<Output>) {
        if from != Wire::Up {
            return;
        }
        for output in output {
            if let Output::Event(event) = output {
                self.told.push(event);
                continue;
            }
            self.said += usize::from(!matches!(output, Output::Digest(_)));
            for to in 0..self.nodes.len() {
                let copies = 1 + u64::from(self.random(100) < self.repeat);
                for _ in 0..copies {
                    if self.random(100) >= self.lose {
                        let delay = Duration::from_millis(self.random(self.delay_ms + 1));
                        self.under_way.push((self.now + delay, to, output.clone()));
                    }
                }
            }
        }
    }

    pub(super) fn step(&mut self) {
        self.now += TICK;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.under_way = later;
        for (_, to, output) in due {
            let now = self.now;
            let Some(node) = self.nodes[to].as_mut().filter(|node| node.wire == Wire::Up) else {
                continue;
            };
            match output {
                Output::Changes(changes) => {
                    node.view
                        .on_changes(now, Payload::from_payload(&changes.to_payload()).unwrap())
                        .unwrap();
                }
                Output::Digest(digest) => {
                    node.view
                        .on_digest(now, &Payload::from_payload(&digest.to_payload()).unwrap())
                        .unwrap();
                }
                Output::Departed(departed) => node.view.on_departed(&departed),
                Output::Goodbye(goodbye) => node.view.on_goodbye(now, &goodbye),
                Output::Event(_) => unreachable!(),
            }
        }
        for index in 0..self.nodes.len() {
            let at = self.moment();
            let Some(node) = self.nodes[index].as_mut().filter(|node| node.awake) else {
                continue;
            };
            let wire = node.wire;
            if wire != Wire::Down {
                let output = node.view.tick(at);
                self.send(wire, output);
            }
            let now = self.now;
            for ask in self.node(index).view.asks(now) {
                let lost = wire != Wire::Up || self.random(100) < self.lose;
                let reply = if lost { None } else { self.answer(&ask) };
                self.node(index).view.answered(now, &ask, reply);
            }
        }
    }

    pub(super) fn answer(&mut self, ask: &Ask) -> Option<SnapshotReply> {
        let (now, page_bytes) = (self.now, self.page_bytes);
        let mut nodes = self.nodes.iter_mut().flatten();
        let node = nodes.find(|node| node.view.me.id == ask.instance && node.wire == Wire::Up)?;
        let view = &node.view;
        let reply = node
            .snapshots
            .answer(now, &ask.request, page_bytes, view.number(), || view.told());
        SnapshotReply::from_payload(&reply.to_payload())
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn run_secs(&mut self, secs: u64) {
        self.run(Duration::from_secs(secs));
    }

    pub(super) fn truth(&self) -> Vec<UserName> {
        let users: BTreeSet<UserName> = self
            .nodes
            .iter()
            .flatten()
            .flat_map(|node| node.sessions.keys().cloned())
            .collect();
        users.into_iter().collect()
    }

    /// Every view is the truth, and knows the live instances.
    pub(super) fn check_views(&self) {
        let ids: Vec<InstanceId> = self.nodes.iter().flatten().map(|node| node.view.me.id).collect();
        for node in self.nodes.iter().flatten() {
            assert_eq!(node.view.users(), self.truth(), "users at {}", node.view.me.name);
            let seen: Vec<InstanceId> = node.view.instances().iter().map(|instance| instance.id).collect();
            assert_eq!(seen, ids, "instances at {}", node.view.me.name);
        }
    }

    /// What backends heard last of each user is the truth.
    pub(super) fn check_told(&self) {
        let last: BTreeMap<_, _> = self
            .told
            .iter()
            .map(|event| (event.user.clone(), event.connected))
            .collect();
        let online: Vec<UserName> = last
            .into_iter()
            .filter(|(_, connected)| *connected)
            .map(|(user, _)| user)
            .collect();
        assert_eq!(online, self.truth(), "what backends were told: {:#?}", self.told);
    }

    /// The events since the last look, as `+alice@node0`.
    pub(super) fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told).into_iter();
        told.map(|event| {
            let sign = if event.connected { '+' } else { '-' };
            format!("{sign}{}@{}", event.user, event.instance)
        })
        .collect()
    }
}
