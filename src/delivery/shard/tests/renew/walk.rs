//! Every order of a few steps, on the real shard beside a model of what its client may see. Each mutant is a shard, or
//! a driver, with one fault; the walk has to detect it.

use super::*;

/// How many steps a walk takes behind each of [`STARTS`].
const DEPTH: usize = 4;

/// What has happened before a walk.
const STARTS: [&[Step]; 3] = [
    &[],
    &[Step::SubscribeY, Step::HoldX, Step::DeliverX],
    &[Step::SubscribeY, Step::HoldX, Step::PieceX, Step::Pass],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A notification for the subscription that resumes, and for the other.
    DeliverX,
    DeliverY,
    /// The one that resumes begins to wait, and the last piece of its replay comes.
    HoldX,
    PieceX,
    SubscribeY,
    /// Renewals that keep all, to live longer, and that lose one, to end earlier.
    Keep,
    LoseX,
    LoseY,
    /// The RECEIPT of a renewal.
    Answer,
    Pass,
    /// A reload of the users withdraws the user.
    Withdraw,
}

const STEPS: [Step; 11] = [
    Step::DeliverX,
    Step::DeliverY,
    Step::HoldX,
    Step::PieceX,
    Step::SubscribeY,
    Step::Keep,
    Step::LoseX,
    Step::LoseY,
    Step::Answer,
    Step::Pass,
    Step::Withdraw,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// What waits for its replay is not judged.
    SkipsWaiting,
    /// What is live is not judged.
    SkipsLive,
    /// The RECEIPT goes out in front of the judging.
    ReceiptFirst,
    /// The end of before stays.
    OldEnd,
    /// A session whose time is over is ended with the next command.
    EndsLate,
}

/// A subscription, by the model.
#[derive(Debug, PartialEq, Eq)]
enum Sub {
    None,
    Waiting(Vec<u64>),
    Live,
}

struct World {
    f: Fixture,
    client: Client,
    fault: Fault,
    sequence: u64,
    x: Sub,
    y: Sub,
    /// The driver waits for the last piece of X.
    resumes: bool,
    /// The driver has renewed, and has not answered; with [`Fault::ReceiptFirst`] the other way round.
    pending: Option<Step>,
    ends_ms: u64,
    closed: Option<CloseReason>,
    seen: Vec<u64>,
}

impl World {
    fn new(fault: Fault) -> Self {
        let mut f = keeping();
        let client = f.join_until("alice", 500);
        Self {
            f,
            client,
            fault,
            sequence: 0,
            x: Sub::None,
            y: Sub::None,
            resumes: false,
            pending: None,
            ends_ms: now_ms() + 500,
            closed: None,
            seen: Vec::new(),
        }
    }

    /// Whether the session's driver is free for another frame, and `step` would do something.
    fn permits(&self, step: Step) -> bool {
        let is_open = self.closed.is_none();
        match step {
            Step::DeliverX | Step::DeliverY | Step::Pass => true,
            Step::HoldX => is_open && self.x == Sub::None && !self.resumes && self.pending.is_none(),
            Step::PieceX => is_open && self.resumes,
            Step::SubscribeY => is_open && self.y == Sub::None && self.pending.is_none(),
            Step::Keep | Step::LoseX | Step::LoseY => is_open && self.pending.is_none(),
            Step::Answer => is_open && self.pending.is_some(),
            Step::Withdraw => is_open,
        }
    }

    fn take(&mut self, step: Step) {
        let (x, y) = (broadcast("/queue/x"), broadcast("/queue/y"));
        match step {
            Step::DeliverX | Step::DeliverY => {
                self.sequence += 1;
                let (target, sub) = match step {
                    Step::DeliverX => (&x, &mut self.x),
                    _ => (&y, &mut self.y),
                };
                match sub {
                    _ if self.closed.is_some() => {}
                    Sub::None => {}
                    Sub::Waiting(waiting) => waiting.push(self.sequence),
                    Sub::Live => self.seen.push(self.sequence),
                }
                let envelope = stored(target, self.sequence);
                self.f.deliver([envelope]);
            }
            Step::HoldX => {
                assert_eq!(
                    self.f.hold(&self.client, &x, self.sequence),
                    Some(at(self.sequence))
                );
                (self.x, self.resumes) = (Sub::Waiting(Vec::new()), true);
            }
            Step::PieceX => {
                self.resumes = false;
                if let Sub::Waiting(waiting) = &mut self.x {
                    self.seen.append(waiting);
                    self.x = Sub::Live;
                }
                self.f.release(&self.client, self.sequence, Ok(Vec::new()));
            }
            Step::SubscribeY => {
                self.f.subscribe(&self.client, 1, y);
                self.y = Sub::Live;
            }
            Step::Keep | Step::LoseX | Step::LoseY => {
                self.pending = Some(step);
                match step {
                    Step::LoseX => self.x = Sub::None,
                    Step::LoseY => self.y = Sub::None,
                    _ => {}
                }
                self.ends_ms = now_ms() + Self::left_ms(step);
                match self.fault {
                    Fault::ReceiptFirst => self.say("RENEWED;"),
                    _ => self.renew(step),
                }
            }
            Step::Answer => {
                let renewed = self.pending.take();
                match (self.fault, renewed) {
                    (Fault::ReceiptFirst, Some(step)) => self.renew(step),
                    _ => self.say("RENEWED;"),
                }
            }
            Step::Pass => {
                let to = self.f.clock.load(Ordering::Relaxed) + 1;
                match self.fault {
                    Fault::EndsLate => super::super::expiry::pass_without_ends(&mut self.f, to),
                    _ => pass(&mut self.f, to),
                }
                if self.closed.is_none() && now_ms() >= self.ends_ms {
                    self.closed = Some(CloseReason::TokenExpired);
                }
            }
            Step::Withdraw => {
                let reason = CloseReason::NotAuthenticated;
                let alice = UserName::parse("alice").unwrap();
                self.f.handle(Command::End(Whom::User(alice), reason));
                self.closed = Some(reason);
            }
        }
    }

    /// How long a session lives that this step has renewed.
    fn left_ms(step: Step) -> u64 {
        match step {
            Step::Keep => 1_000,
            _ => 250,
        }
    }

    fn renew(&mut self, step: Step) {
        let fault = self.fault;
        let slot = self.f.shard.roster.slot(self.client.key);
        let waits = slot.is_some() && self.f.shard.resuming.is_held(self.client.key, 0);
        let judge = move |target: &Target| {
            let Target::Broadcast(path) = target else {
                return true;
            };
            let is_x = path.as_str() == "/queue/x";
            let is_skipped = match fault {
                Fault::SkipsWaiting => is_x && waits,
                Fault::SkipsLive => !(is_x && waits),
                _ => false,
            };
            is_skipped
                || match step {
                    Step::LoseX => !is_x,
                    Step::LoseY => is_x,
                    _ => true,
                }
        };
        let mut left_ms = Self::left_ms(step);
        if fault == Fault::OldEnd
            && let Some((_, session)) = slot.and_then(|slot| self.f.shard.roster.get(slot))
        {
            left_ms = session.principal.ends_ms().unwrap() - now_ms();
        }
        self.f.renew(&self.client, Some(left_ms), judge);
    }

    fn say(&mut self, text: &'static str) {
        let say = SessionCommand::Say(Bytes::from_static(text.as_bytes()));
        self.f.handle(Command::Session(self.client.key, say));
    }

    /// What the client has seen must be what the model says, and the session open or closed as that says.
    fn fault_found(&self) -> Option<String> {
        if self.client.outbox.closing() != self.closed {
            return Some(format!(
                "{:?}, not {:?}",
                self.client.outbox.closing(),
                self.closed
            ));
        }
        let text = self.client.pipe.text();
        let mut seen = Vec::new();
        for part in text.split("body-").skip(1) {
            seen.push(part.split(';').next().unwrap().parse::<u64>().unwrap());
        }
        (seen != self.seen).then(|| format!("{seen:?}, not {:?}", self.seen))
    }
}

/// Takes every sequence of `depth` steps behind `taken`. Returns how many there were, or the first that a fault shows in.
fn walk(fault: Fault, taken: &mut Vec<Step>, depth: usize) -> Result<usize, String> {
    let mut walks = 0;
    for step in STEPS {
        let mut world = World::new(fault);
        for step in taken.iter() {
            world.take(*step);
        }
        if !world.permits(step) {
            continue;
        }
        world.take(step);
        taken.push(step);
        walks += 1;
        if let Some(found) = world.fault_found() {
            return Err(format!("{taken:?}: {found}"));
        }
        if depth > 1 {
            walks += walk(fault, taken, depth - 1)?;
        }
        taken.pop();
    }
    Ok(walks)
}

fn walk_all(fault: Fault) -> Result<usize, String> {
    let mut walks = STARTS.iter().map(|start| walk(fault, &mut start.to_vec(), DEPTH));
    walks.try_fold(0, |sum, walks| Ok(sum + walks?))
}

#[test]
fn every_order_of_renewals_ends_and_deliveries_is_as_the_model_says() {
    let walks = walk_all(Fault::None);
    assert!(walks.as_ref().is_ok_and(|walks| *walks > 5_000), "{walks:?}");
}

#[test]
fn the_walk_finds_every_fault() {
    for fault in [
        Fault::SkipsWaiting,
        Fault::SkipsLive,
        Fault::ReceiptFirst,
        Fault::OldEnd,
        Fault::EndsLate,
    ] {
        let found = walk_all(fault);
        assert!(found.is_err(), "{fault:?} after {found:?} walks");
    }
}
