use adapter_axum::{Cache, Policy, ResponseCache};
use axum::{Router, body::Body, extract::Path, http::Request, routing::get};
use cache_memory::MemoryStore;
use std::time::Duration;
use tower::ServiceExt;

#[tokio::test]
async fn smoke() {
    let cache = Cache::new(MemoryStore::new());
    let app: Router = Router::new()
        .route(
            "/u/{id}",
            get(|rc: ResponseCache, Path(id): Path<u64>| async move {
                rc.tag("x").unwrap();
                format!("user {id}")
            })
            .layer(cache.layer(Policy::ttl(Duration::from_secs(60)).tag("user:{id}")).unwrap()),
        )
        .layer(cache.extension());
    for i in 0..3 {
        let mut r = Request::get("/u/7").body(Body::empty()).unwrap();
        if i == 2 {
            r.headers_mut().insert("if-none-match", "*".parse().unwrap());
        }
        let r = app.clone().oneshot(r).await.unwrap();
        println!("{:?}", r);
    }
    println!(
        "{:?}",
        cache.explain(app.clone(), Request::get("/u/7").body(Body::empty()).unwrap()).await
    );
    println!("{:?}", cache.invalidate_tags(["user:7"]).await);
    let r = app.clone().oneshot(Request::get("/u/7").body(Body::empty()).unwrap()).await.unwrap();
    println!("{:?}", r);
    println!("{:?}", cache.stats());
}
