//! Publishers that publish until they are told to stop, and check afterwards that the history kept every promise to them.

use super::*;

/// A body, and what became of it.
type Tried = (String, Result<Published, StoreError>);

/// Publishes until told to stop, `tasks` at once, and checks afterwards what became of each.
pub(super) struct Load {
    stop: tokio_util::sync::CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<Vec<Tried>>>,
    began: Instant,
}

impl Load {
    pub(super) fn start(herald: &Herald, tasks: usize, pause: Duration) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        let tasks = (0..tasks).map(|task| {
            let (history, stop) = (herald.history.clone(), stop.clone());
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                for number in 0.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    let body = format!("{task}-{number}");
                    let envelope = to_user("anna", &body);
                    let outcome = history.publish(&envelope, envelope.id.to_string()).await;
                    if outcome.is_err() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    outcomes.push((body, outcome));
                    tokio::time::sleep(pause).await;
                }
                outcomes
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
            began: Instant::now(),
        }
    }

    /// Ends it, and checks: each acknowledged message was delivered at its position, once; each task's in its order; nothing
    /// that is surely not stored was delivered; nothing is broken.
    pub(super) async fn check(self, herald: &Herald, seen: &Seen, what: &str) {
        self.stop.cancel();
        let mut outcomes = Vec::new();
        for task in self.tasks {
            outcomes.push(task.await.unwrap());
        }
        let last = outcomes
            .iter()
            .flatten()
            .filter_map(|(_, outcome)| outcome.as_ref().ok())
            .map(|p| p.position)
            .max();
        seen.until_position(last.expect("one was stored")).await;
        // What is unknown may come behind it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let bodies = seen.bodies();
        let distinct: HashSet<&String> = bodies.values().collect();
        assert_eq!(distinct.len(), bodies.len(), "{what}: stored twice");
        let (mut acked, mut unknown, mut refused) = (0, 0, 0);
        for outcomes in &outcomes {
            let mut before = Position::default();
            for (body, outcome) in outcomes {
                match outcome {
                    Ok(published) => {
                        acked += 1;
                        assert_eq!(
                            bodies.get(&published.position),
                            Some(body),
                            "{what}: acked and lost"
                        );
                        assert!(published.position > before, "{what}: order");
                        before = published.position;
                    }
                    Err(StoreError::Unknown) => unknown += 1,
                    Err(_) => {
                        refused += 1;
                        assert!(
                            !distinct.contains(body),
                            "{what}: {body} was refused and delivered"
                        );
                    }
                }
            }
        }
        let (_, repeated) = herald.history.publishes();
        eprintln!(
            "{what}: {acked} acked, 0 lost, 0 doubled, {unknown} unknown, {refused} refused, {} delivered, {repeated} \
             repeats in {:.1} s; {:?}",
            bodies.len(),
            self.began.elapsed().as_secs_f32(),
            herald.stats()
        );
        assert_eq!(seen.broken(), [], "{what}");
        assert_eq!(herald.bus.stats().slow_consumer_drops, 0);
    }
}
