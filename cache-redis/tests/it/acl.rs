//! Users who may do what the README lists, and nothing else.

use std::time::Duration;

use cache_core::store::Lookup;
use cache_redis::{RedisStore, RedisStoreBuilder};
use conformance_tests::servers::{Cluster, Sentinels, Server};

use crate::support::STEADY;
use crate::worker::{Worker, patient};

/// The commands in the README's lines for this user.
fn listed(user: &str) -> Vec<&'static str> {
    let lead = format!("ACL SETUSER {user} ");
    let readme = include_str!("../../README.md").lines();
    let words = readme.filter(|line| line.starts_with(&lead)).flat_map(|line| line.split(' '));
    words.filter(|word| word.starts_with('+')).collect()
}

/// What is listed for servers outside a cluster: its first line.
fn without_cluster() -> Vec<&'static str> {
    let mut rights = listed("cache");
    rights.retain(|right| !["+cluster|slots", "+asking"].contains(right));
    rights
}

/// Gives a server the user `u`, password `p`, who may only run these.
fn admit(server: &Server, commands: &[&str]) {
    let rules = ["ACL", "SETUSER", "u", "on", ">p", "~{rc:*", "resetchannels"];
    server.run::<String>(&[&rules, commands].concat()).unwrap();
}

fn login(url: &str) -> String {
    url.replace("://", "://u:p@")
}

/// Nothing has been refused to the user.
fn assert_content(server: &Server) {
    let log = server.run::<redis::Value>(&["ACL", "LOG"]).unwrap();
    assert!(!format!("{log:?}").contains("\"u\""), "{log:?}");
}

/// All that a store does.
async fn everything(worker: &Worker) {
    // More than come with an invalidation's reply.
    for n in 0..70 {
        worker.fill(&format!("k{n}"), &["t"], "a").await;
    }
    worker.hit("k0", "a").await;
    assert_eq!(worker.invalidate(&["t"]).await.removed, 70);
    worker.0.keys(10).await.unwrap();
    worker.clear().await;
    // More than 32 puts, after which indexes are swept beside the calls.
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn missing_rights_are_named_at_the_start() {
    for missing in ["-info", "-wait", "-mget", "-zmscore"] {
        let server = Server::start(&[]).unwrap();
        server.run::<String>(&["ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", missing]).unwrap();
        let error = RedisStore::connect(&login(&server.url())).await.unwrap_err();
        assert!(format!("{error:?}").contains("NOPERM"), "{missing}: {error:?}");
    }
}

#[tokio::test]
async fn the_listed_rights_are_enough_for_a_server() {
    let server = Server::start(&[]).unwrap();
    admit(&server, &without_cluster());
    everything(&Worker::at(&login(&server.url())).await).await;
    assert_content(&server);
}

/// With a slot on the move, whose calls are redirected.
#[tokio::test]
async fn the_listed_rights_are_enough_for_a_cluster() {
    let cluster = Cluster::start(&[], STEADY, true).unwrap();
    cluster.all().for_each(|node| admit(node, &listed("cache")));
    let worker = Worker::at(&login(&cluster.url())).await;
    everything(&worker).await;

    let [from, to] = [&cluster.primaries[0], &cluster.primaries[1]];
    let id = |node: &Server| node.run::<String>(&["CLUSTER", "MYID"]).unwrap();
    let slot_of = |shard: u16| -> i64 {
        from.run(&["CLUSTER", "KEYSLOT", &format!("{{rc:{shard}}}")]).unwrap()
    };
    let slot = (0..16).map(slot_of).find(|slot| *slot < 16_384 / 3).unwrap().to_string();
    to.run::<String>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]).unwrap();
    from.run::<String>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]).unwrap();
    let port = to.port().to_string();
    let names: Vec<String> = from.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]).unwrap();
    for name in names {
        from.try_run(&["MIGRATE", "127.0.0.1", &port, &name, "0", "20000"]).unwrap();
    }
    for n in 0..40 {
        worker.miss(&format!("k{n}")).await;
    }
    let asked = to.info("commandstats", "cmdstat_asking");
    assert!(
        asked.is_some_and(|stats| stats.contains("rejected_calls=0")),
        "nothing was redirected"
    );
    for node in [to, from] {
        node.run::<String>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]).unwrap();
    }
    everything(&worker).await;
    cluster.all().for_each(assert_content);
}

fn through(group: &Sentinels) -> RedisStoreBuilder {
    let user = || Some("u".to_owned());
    patient(&login(&group.url()))
        .with_sentinel_credentials(user(), Some("p".to_owned()))
        .with_breaker(3, Duration::from_millis(100))
}

/// Through a failover.
#[tokio::test]
async fn the_listed_rights_are_enough_for_sentinels_and_what_they_watch() {
    let mut group = Sentinels::start(&[], STEADY).unwrap();
    group.data.iter().for_each(|server| admit(server, &without_cluster()));
    group.sentinels.iter().for_each(|server| admit(server, &listed("watcher")));
    let worker = Worker::of(through(&group)).await;
    everything(&worker).await;
    assert_content(&group.data[0]);
    group.replace_after(Duration::from_millis(500)).unwrap();
    group.data[0].kill();
    assert!(!worker.answered("k0", Duration::from_secs(20)).await);
    everything(&worker).await;
    assert_content(&group.data[1]);
    group.sentinels.iter().for_each(assert_content);
}

/// Which costs the protection that only these details give; the README says so.
#[tokio::test]
async fn a_sentinel_that_tells_nothing_but_the_address_will_do() {
    let group = Sentinels::start(&[], STEADY).unwrap();
    for sentinel in &group.sentinels {
        admit(sentinel, &["+sentinel|get-master-addr-by-name"]);
    }
    group.data.iter().for_each(|server| admit(server, &without_cluster()));
    let worker = Worker::of(through(&group)).await;
    worker.fill("a", &["t"], "a").await;
    match worker.lookup("a").await {
        Ok(Lookup::Found(..)) => {}
        other => panic!("{other:?}"),
    }
}
