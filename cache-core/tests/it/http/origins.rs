//! Authorities in keys.

use super::{Lines, saying};

const AGED: Lines = &[("cache-control", "max-age=600")];

#[tokio::test]
async fn another_host_line_is_another_key() {
    let rig = saying(&[AGED]);
    rig.get_with("http://example.org/a", &[("host", "evil.example")]).await;
    let own = rig.get_with("http://example.org/a", &[("host", "Example.org")]).await;
    assert_eq!(own.body, "second");
    rig.get_with("/b", &[("host", "example.org"), ("host", "evil.example")]).await;
    assert_eq!(rig.get_with("/b", &[("host", "example.org")]).await.body, "fourth");
    // The same twice is the same.
    let same = rig.get_with("http://example.org/a", &[]).await;
    assert_eq!(same.body, "second");
}
