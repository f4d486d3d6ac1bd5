//! One instance in the tests: its bus, its history, and what its relay receives.

use super::*;

/// An instance: its bus, its history, and what its relay is given.
pub(super) struct Herald {
    pub(super) bus: Arc<NatsBus>,
    pub(super) history: Arc<NatsHistory>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Herald {
    /// Boxed: the client's attempt to connect is large.
    pub(super) fn start<'s>(
        servers: &'s Servers,
        change: impl FnOnce(&mut Config, &mut usize) + Send + 's,
    ) -> BoxFuture<'s, Self> {
        Box::pin(Self::start_now(servers, change))
    }

    async fn start_now(servers: &Servers, change: impl FnOnce(&mut Config, &mut usize)) -> Self {
        let config = crate::bus::Config {
            url: Some(servers.urls().parse().unwrap()),
            ..Default::default()
        };
        let mut history = Config {
            enabled: Some(true),
            ..Config::default()
        };
        let mut incoming_bytes = 64 << 20;
        change(&mut history, &mut incoming_bytes);
        let limits = Limits {
            body_bytes: ByteSize::mib(1),
            headers: HeaderLimits {
                count: 64,
                bytes: 8 << 10,
            },
        };
        let instance = Instance {
            id: InstanceId::random(),
            name: "test".into(),
        };
        let bus = Box::pin(NatsBus::connect(&config, limits, &instance))
            .await
            .unwrap();
        drop(bus.incoming());
        let history = Arc::new(NatsHistory::new(Setup {
            connection: bus.connection.clone(),
            prefix: &config.prefix,
            subjects: &bus.subjects,
            limits,
            config: &history,
            kept: history.kept_prefixes(&Prefixes::default()),
            incoming_bytes,
        }));
        let tasks = history
            .readers()
            .into_iter()
            .map(|(_, reader)| tokio::spawn(reader))
            .collect();
        Self { bus, history, tasks }
    }

    pub(super) async fn ready(self) -> Self {
        within(self.history.caught_up()).await;
        assert_eq!(self.history.trouble(), Vec::<String>::new());
        self
    }

    pub(super) async fn until_connected(&self) {
        let mut health = self.bus.health();
        within(health.wait_for(|health| *health == crate::bus::Health::Connected))
            .await
            .unwrap();
    }

    pub(super) fn api(&self) -> &Api {
        &self.history.api
    }

    /// Asks JetStream something that Herald does not.
    pub(super) async fn ask(&self, verb: &str, body: Value) -> Value {
        self.api().ask(verb, "HERALD_USER", &body, LONG).await.unwrap()
    }

    pub(super) async fn publish(&self, user: &str, body: &str) -> Result<Published, StoreError> {
        let envelope = to_user(user, body);
        let id = envelope.id.to_string();
        self.history.publish(&envelope, id).await
    }

    pub(super) fn stats(&self) -> KindStats {
        self.history.stats(Kind::User).unwrap()
    }

    pub(super) fn collect(&self, kind: Kind) -> Seen {
        Seen::of(self.history.feed(kind).unwrap())
    }
}

/// What the relay was given, as it comes.
pub(super) struct Seen {
    all: Arc<Mutex<Vec<Fed>>>,
    changed: Arc<tokio::sync::Notify>,
}

impl Seen {
    pub(super) fn of(mut feed: Feed) -> Self {
        let seen = Self {
            all: Arc::default(),
            changed: Arc::default(),
        };
        let (all, changed) = (seen.all.clone(), seen.changed.clone());
        tokio::spawn(async move {
            while let Some(fed) = feed.next().await {
                all.lock().push(fed);
                changed.notify_one();
            }
        });
        seen
    }

    pub(super) async fn until(&self, enough: impl Fn(&[Fed]) -> bool) -> Vec<Fed> {
        let waited = async {
            loop {
                let changed = self.changed.notified();
                if enough(&self.all.lock()) {
                    return;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(LONG, waited).await {
            Ok(()) => self.all.lock().clone(),
            Err(_) => panic!(
                "only {:?} came",
                self.all.lock().iter().rev().take(3).collect::<Vec<_>>()
            ),
        }
    }

    pub(super) async fn until_position(&self, position: Position) -> Vec<Fed> {
        self.until(|all| all.last().is_some_and(|fed| at(fed) >= position))
            .await
    }

    pub(super) fn broken(&self) -> Vec<Broken> {
        let all = self.all.lock();
        all.iter()
            .filter_map(|fed| {
                if let Fed::Broken(broken) = fed {
                    Some(*broken)
                } else {
                    None
                }
            })
            .collect()
    }

    /// The bodies by their positions. Panics where one comes twice or out of order.
    pub(super) fn bodies(&self) -> BTreeMap<Position, String> {
        let mut bodies = BTreeMap::new();
        for fed in self.all.lock().iter() {
            if let Fed::Notification(envelope) = fed {
                let position = envelope.position.unwrap();
                let is_last = bodies.last_key_value().is_none_or(|(last, _)| *last < position);
                assert!(is_last, "{position} comes behind {:?}", bodies.last_key_value());
                bodies.insert(position, String::from_utf8_lossy(&envelope.body).into_owned());
            }
        }
        bodies
    }
}

fn at(fed: &Fed) -> Position {
    match fed {
        Fed::Notification(envelope) => envelope.position.unwrap(),
        Fed::Passed(position) | Fed::CaughtUp(position) => *position,
        Fed::Broken(broken) => broken.base,
    }
}
