//! The application: routes, handlers, what is cached, and what a write invalidates.
//!
//! | answer | its tags | out of date when |
//! |---|---|---|
//! | `GET /cities/{id}` | `city:{id}` from the path, `country:…` from the row | the city changes, or its rank in the country does |
//! | `GET /cities?country=…` | `country:…` | any city of the country changes |
//! | `GET /cities` | `cities` | any city changes |
//! | `GET /stats` | `stats` | any city changes |
//!
//! A write commits first and then invalidates these four tags. Once it has answered, no request
//! gets an answer that was computed before the write; what the write did not touch stays cached.

use std::time::Duration;

use adapter_axum::{Cache, Policy, PolicyError, ResponseCache};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Serialize;

use crate::db::{City, Db, DbError, Search, Stats};
use crate::error::ApiError;
use crate::request::{CityId, CountryCode, Limit, SearchQuery, Update};
use crate::say;

/// How long an answer may be served. Writes through this program invalidate at once; the lifetime
/// bounds what a write past it, say with the `sqlite3` shell, can leave behind.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The application, ready to be served. `base` is where: `http://127.0.0.1:3000`.
pub(crate) fn build(cache: &Cache, db: Db, base: &str) -> Result<Router, PolicyError> {
    let policy = Policy::ttl(LIFETIME);
    let cached_city = cache.layer(policy.clone().tag("city:{id}"))?;
    let cached_search = cache.layer(policy.clone())?;
    let cached_stats = cache.layer(policy.tag("stats"))?;

    let index = index(base);
    Ok(Router::new()
        .route("/", get(move || async move { index }))
        // `layer` wraps what was added before it: the GET, not the PUT.
        .route("/cities/{id}", get(city).layer(cached_city).put(update))
        .route("/cities", get(search).layer(cached_search))
        .route("/stats", get(stats).layer(cached_stats))
        .fallback(|| async { ApiError::NotFound("no such page".to_owned()) })
        // Lets the handlers take a `Cache`.
        .layer(cache.extension())
        .layer(middleware::from_fn(say::log))
        .with_state(db))
}

/// `GET /cities/{id}`: one city.
async fn city(
    path: Result<Path<CityId>, PathRejection>,
    State(db): State<Db>,
    response: ResponseCache,
) -> Result<Json<City>, ApiError> {
    let Path(CityId(id)) = path?;
    let city = db.city(id).await?.ok_or_else(|| ApiError::unknown_city(id))?;
    // The answer holds the city's rank, which changes with the other cities of the country. The
    // country is not in the path: it is known now.
    response.tag(&country_tag(&city.country)).map_err(ApiError::tag)?;
    Ok(Json(city))
}

/// `GET /cities?country=FR&min_population=500000&limit=20`: cities, the most populous first.
async fn search(
    query: Result<Query<SearchQuery>, QueryRejection>,
    State(db): State<Db>,
    response: ResponseCache,
) -> Result<Json<Vec<City>>, ApiError> {
    let Query(query) = query?;
    let country = query.country.map(|CountryCode(code)| code);
    let tag = country.as_deref().map_or_else(|| "cities".to_owned(), country_tag);
    response.tag(&tag).map_err(ApiError::tag)?;
    let Limit(limit) = query.limit;
    let search = Search { country, min_population: query.min_population, limit };
    Ok(Json(db.search(search).await?))
}

/// `GET /stats`: figures over all cities, which SQLite needs a while for.
async fn stats(State(db): State<Db>) -> Result<Json<Stats>, ApiError> {
    Ok(Json(db.stats().await?))
}

/// `PUT /cities/{id}?population=2200000`: changes a city.
async fn update(
    path: Result<Path<CityId>, PathRejection>,
    query: Result<Query<Update>, QueryRejection>,
    State(db): State<Db>,
    cache: Cache,
) -> Result<Json<Updated>, ApiError> {
    let (Path(CityId(id)), Query(Update { population })) = (path?, query?);
    // A handler is dropped when its client goes away. In a task of its own, the write is never
    // committed without its invalidation.
    let write = tokio::spawn(async move {
        // Commit first, then invalidate: the other way round, a request in between would bring
        // the old value back into the cache.
        let city =
            db.set_population(id, population).await?.ok_or_else(|| ApiError::unknown_city(id))?;
        let tags = [
            format!("city:{id}"),
            country_tag(&city.country),
            "cities".to_owned(),
            "stats".to_owned(),
        ];
        let invalidated = cache.invalidate_tags(tags).await?;
        Ok(Updated { city, answers_removed: invalidated.removed })
    });
    write.await.map_err(DbError::from)?.map(Json)
}

/// What a write answers.
#[derive(Serialize)]
struct Updated {
    city: City,
    /// How many cached answers the write made wrong.
    answers_removed: u64,
}

fn country_tag(code: &str) -> String {
    format!("country:{code}")
}

/// The text of `GET /`.
fn index(base: &str) -> String {
    format!(
        "Cities of the world out of SQLite, answered from the cache.\n\n\
         GET /cities/{{id}}                                        one city\n\
         GET /cities?country=FR&min_population=500000&limit=20   cities, the largest first\n\
         GET /stats                                              figures over all cities, slow to compute\n\
         PUT /cities/{{id}}?population=N                           change a city\n\n\
         Try, in this order:\n\n{}",
        tour(base)
    )
}

/// Commands worth trying.
pub(crate) fn tour(base: &str) -> String {
    let city = format!("{base}/cities/2988507");
    format!(
        "\
# MISS: the handler asks SQLite. Then HIT: the same answer without handler or SQLite.
curl -i {city}
curl -i {city} --etag-save /tmp/paris.etag

# 304: the client has that very answer.
curl -i {city} --etag-compare /tmp/paris.etag

# A write. Then MISS: the new population, and another ETag.
curl -i -X PUT '{city}?population=2200000'
curl -i {city} --etag-compare /tmp/paris.etag

# Figures that take SQLite a while: MISS, then HIT, and how long each took.
curl -i -w '\\n%{{time_total}} s\\n' {base}/stats
curl -i -w '\\n%{{time_total}} s\\n' {base}/stats
"
    )
}
