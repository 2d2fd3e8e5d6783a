//! TLS with a certificate authority of the test's own, in every topology; none without it.

use std::time::Duration;

use cache_redis::{ConnectError, RedisStoreBuilder};
use conformance_tests::servers::{Cluster, Sentinels, Server, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, DnValue, IsCa, Issuer, KeyPair};

use crate::worker::{Worker, patient};

/// A certificate for this machine, of an authority that nobody else knows.
fn issue() -> Tls {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = DnValue::Utf8String("an authority".to_owned());
    params.distinguished_name.push(DnType::CommonName, name);
    let root = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
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
        let error = stranger.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Store(_)), "{error:?}");
        let shown = format!("{error:?}");
        assert!(shown.contains("certificate"), "not for its certificate: {shown}");
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
