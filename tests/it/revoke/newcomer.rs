//! Promise: a new instance shuts out whom the others do before it is ready, and what was lifted does not come back by it.

use super::cluster::{block, is_revoked};
use crate::support::cluster::{Cluster, admin};
use crate::support::cluster_client::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_instance_knows_who_is_shut_out_before_it_is_ready() {
    let mut cluster = Cluster::start(1).await;
    block(&cluster.instances[0], "test1").await;
    let lifted = block(&cluster.instances[0], "test2").await;
    let path = format!("{}/{lifted}", super::PATH);
    assert_eq!(admin(&cluster.instances[0], "DELETE", &path).await.status, 202);
    let newcomer = cluster.add("i1").await;
    let refused = Browser::attempt(newcomer.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    Browser::connect(newcomer.address, "test2").await;
    // It tells the next one, also when the first is gone.
    drop(cluster.instances.remove(0));
    let third = cluster.add("i2").await;
    let refused = Browser::attempt(third.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    Browser::connect(third.address, "test2").await;
}
