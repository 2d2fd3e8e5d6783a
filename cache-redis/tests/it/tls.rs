//! TLS with a certificate authority of the test's own, in every topology; none without it.

use std::time::Duration;

use cache_redis::{ConnectError, RedisStoreBuilder};
use conformance_tests::servers::{Cluster, Sentinels, Server, Tls, wait_for};
use rcgen::{BasicConstraints, CertificateParams, DnType, DnValue, IsCa, Issuer, KeyPair};

use crate::support::STEADY;
use crate::worker::{Worker, patient};

/// After this silence a node is replaced, where a test wants that.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Longer than any failover takes.
const FAILOVER: Duration = Duration::from_secs(20);

/// A certificate for this machine, of an authority that nobody else knows.
fn issue() -> Tls {
    issue_for(&["localhost", "127.0.0.1"])
}

fn issue_for(names: &[&str]) -> Tls {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = DnValue::Utf8String("an authority".to_owned());
    params.distinguished_name.push(DnType::CommonName, name);
    let root = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Tls { certificate: certificate.pem(), key: key.serialize_pem(), root: root.pem() }
}

fn trusting(url: &str, tls: &Tls) -> RedisStoreBuilder {
    patient(url).with_root_certificate(tls.root.clone().into_bytes())
}

fn server(args: &[&str], tls: &Tls) -> (Server, String) {
    let mut server = Server::prepare(args).unwrap().with_tls(tls).unwrap();
    server.spawn().unwrap();
    let url = format!("rediss://localhost:{}", server.tls_port().unwrap());
    (server, url)
}

/// Two processes share what they fill and invalidate; who trusts another authority, or only the
/// platform's, is not let down to plain text but refused.
async fn caches_and_trusts_only_its_authority(url: &str, tls: &Tls) {
    let (p1, p2) = (Worker::of(trusting(url, tls)).await, Worker::of(trusting(url, tls)).await);
    for name in (0..40).map(|n| format!("k{n}")) {
        p1.fill(&name, &["t"], "old").await;
        p2.hit(&name, "old").await;
    }
    assert_eq!(p2.invalidate(&["t"]).await.removed, 40);
    p1.miss("k0").await;

    for stranger in [trusting(url, &issue()), patient(url)] {
        is_refused_for_the_certificate(stranger).await;
    }
}

async fn is_refused_for_the_certificate(stranger: RedisStoreBuilder) {
    let error = stranger.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Store(_)), "{error:?}");
    let shown = format!("{error:?}");
    assert!(shown.contains("certificate"), "not for its certificate: {shown}");
}

/// Another node has taken over: what was invalidated before stays so, and all goes on.
async fn goes_on_after_a_failover(p1: &Worker, p2: &Worker, names: &[String]) {
    for name in names {
        assert!(!p1.answered(name, FAILOVER).await, "{name} is stale");
        assert!(!p2.answered(name, FAILOVER).await, "{name} is stale");
    }
    p1.invalidate(&["t"]).await;
    for name in names {
        p1.fill(name, &["t"], "new").await;
        p2.hit(name, "new").await;
    }
}

#[tokio::test]
async fn a_server_is_reached_by_tls_and_only_with_its_authority() {
    let tls = issue();
    let (server, url) = server(&[], &tls);
    caches_and_trusts_only_its_authority(&url, &tls).await;
    // The same data without it.
    let plain = Worker::at(&server.url()).await;
    plain.fill("a", &["t"], "a").await;
    Worker::of(trusting(&url, &tls)).await.hit("a", "a").await;

    let error = patient(&server.url()).with_root_certificate(vec![]).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Config(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let tls = issue();
    let (_server, url) = server(&["--tls-auth-clients", "yes"], &tls);
    assert!(trusting(&url, &tls).connect().await.is_err(), "it asks for a certificate");
    let (certificate, key) = (tls.certificate.clone().into_bytes(), tls.key.clone().into_bytes());
    let known = trusting(&url, &tls).with_client_certificate(certificate, key);
    Worker::of(known).await.fill("a", &["t"], "a").await;
}

#[tokio::test]
async fn sentinels_and_what_they_name_are_reached_by_tls_and_only_with_their_authority() {
    let tls = issue();
    let group = Sentinels::start_tls(&[], Duration::from_secs(5), &tls).unwrap();
    let url = group.url();
    assert!(url.starts_with("rediss-sentinel://"), "{url}");
    caches_and_trusts_only_its_authority(&url, &tls).await;
}

#[tokio::test]
async fn every_node_of_a_cluster_is_reached_by_tls_and_only_with_its_authority() {
    let tls = issue();
    let cluster = Cluster::start_tls(&[], Duration::from_secs(5), true, &tls).unwrap();
    let url = cluster.url();
    assert!(url.starts_with("rediss-cluster://"), "{url}");
    caches_and_trusts_only_its_authority(&url, &tls).await;
}

#[tokio::test]
async fn a_primary_that_sentinels_name_later_is_reached_by_tls() {
    let tls = issue();
    let mut group = Sentinels::start_tls(&[], STEADY, &tls).unwrap();
    let (p1, p2) = two_that_go_on(&group.url(), &tls).await;
    let names = names(1);
    fill_and_invalidate(&p1, &p2, &names).await;
    group.replace_after(GIVEN_UP).unwrap();
    group.data[0].kill();
    goes_on_after_a_failover(&p1, &p2, &names).await;
}

#[tokio::test]
async fn a_replica_that_is_promoted_in_a_cluster_is_reached_by_tls() {
    let tls = issue();
    let mut cluster = Cluster::start_tls(&[], STEADY, true, &tls).unwrap();
    let (p1, p2) = two_that_go_on(&cluster.url(), &tls).await;
    let names = names(40);
    fill_and_invalidate(&p1, &p2, &names).await;
    let given_up = GIVEN_UP.as_millis().to_string();
    for node in cluster.all() {
        node.run::<()>(&["CONFIG", "SET", "cluster-node-timeout", &given_up]).unwrap();
    }
    cluster.primaries[0].kill();
    goes_on_after_a_failover(&p1, &p2, &names).await;
}

#[tokio::test]
async fn sentinels_that_announce_names_are_reached_with_certificates_for_names_only() {
    let tls = issue_for(&["localhost"]);
    let group = Sentinels::start_tls(&[], STEADY, &tls).unwrap();
    let by_address = group.url();
    let by_name = by_address.replace("127.0.0.1", "localhost");
    is_refused_for_the_certificate(trusting(&by_address, &tls)).await;

    for node in &group.data {
        node.run::<()>(&["CONFIG", "SET", "replica-announce-ip", "localhost"]).unwrap();
    }
    let port = group.data[0].tls_port().unwrap().to_string();
    for sentinel in &group.sentinels {
        for setting in ["resolve-hostnames", "announce-hostnames"] {
            sentinel.run::<()>(&["SENTINEL", "CONFIG", "SET", setting, "yes"]).unwrap();
        }
        sentinel.run::<()>(&["SENTINEL", "REMOVE", "mine"]).unwrap();
        sentinel.run::<()>(&["SENTINEL", "MONITOR", "mine", "localhost", &port, "2"]).unwrap();
    }
    wait_for("the Sentinels to find each other", FAILOVER, || group.is_whole()).unwrap();
    caches_and_trusts_only_its_authority(&by_name, &tls).await;
}

#[tokio::test]
async fn a_cluster_that_prefers_names_is_reached_with_certificates_for_names_only() {
    let tls = issue_for(&["localhost"]);
    let names = ["--cluster-announce-hostname", "localhost"];
    let preferred = ["--cluster-preferred-endpoint-type", "hostname"];
    let cluster = Cluster::start_tls(&[names, preferred].concat(), STEADY, true, &tls).unwrap();
    let by_address = cluster.url();
    is_refused_for_the_certificate(trusting(&by_address, &tls)).await;
    let by_name = by_address.replace("127.0.0.1", "localhost");
    caches_and_trusts_only_its_authority(&by_name, &tls).await;
}

/// Two processes that do not wait long for a server that is gone.
async fn two_that_go_on(url: &str, tls: &Tls) -> (Worker, Worker) {
    let builder = || {
        trusting(url, tls)
            .with_response_limit(Duration::from_secs(1))
            .with_breaker(3, Duration::from_millis(100))
    };
    (Worker::of(builder()).await, Worker::of(builder()).await)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

async fn fill_and_invalidate(p1: &Worker, p2: &Worker, names: &[String]) {
    for name in names {
        p1.fill(name, &["t"], "old").await;
        p2.hit(name, "old").await;
    }
    p2.invalidate(&["t"]).await;
}
