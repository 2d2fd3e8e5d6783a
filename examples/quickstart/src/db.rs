//! The database: GeoNames cities in SQLite, behind an asynchronous face.
//!
//! SQLite blocks its thread. [`Db::run`] is the pattern for such work in a handler: it goes to
//! the runtime's blocking threads, over a bounded number of connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// How many connections there are at most; further queries wait for one.
const CONNECTIONS: usize = 4;

/// How long a write waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Marks a database file as ours: "cash", in ASCII.
const APPLICATION_ID: i32 = 0x6361_7368;

/// How many countries the figures list.
const LARGEST: usize = 10;

const SCHEMA: &str = include_str!("schema.sql");
const SELECT_CITY: &str = include_str!("city.sql");
const SELECT_STATS: &str = include_str!("stats.sql");
const COUNTRIES: &str = include_str!("../data/countries.tsv");
const CITIES: &str = include_str!("../data/cities.tsv");

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("it belongs to another program")]
    Foreign,
    #[error("a query did not run to its end: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("{0}")]
    Temporary(#[source] std::io::Error),
}

/// A city, as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct City {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) country: String,
    pub(crate) country_name: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) population: u32,
    pub(crate) timezone: String,
    /// 1 for the most populous city of the country; so the answer for one city changes when
    /// another city of the country grows past it.
    pub(crate) rank_in_country: u32,
}

/// Which cities to list.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) country: Option<String>,
    pub(crate) min_population: u32,
    pub(crate) limit: u32,
}

/// Figures over all rows.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) cities: u32,
    pub(crate) population: i64,
    pub(crate) countries: usize,
    pub(crate) largest_countries: Vec<CountryStats>,
}

/// One country's share of them.
#[derive(Debug, Serialize)]
pub(crate) struct CountryStats {
    pub(crate) country: String,
    pub(crate) name: String,
    pub(crate) cities: u32,
    pub(crate) population: i64,
    /// From a city to the nearest other one of the country; `None` where there is no other.
    pub(crate) mean_km_to_nearest: Option<f64>,
    pub(crate) most_remote_city: String,
    pub(crate) most_remote_km: Option<f64>,
}

/// A handle on the database. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Db {
    inner: Arc<Inner>,
}

/// The fields are dropped in order: the connections are closed before the directory goes.
#[derive(Debug)]
struct Inner {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    path: PathBuf,
    _directory: Option<TempDir>,
}

impl Db {
    /// Opens the file, or a temporary one that lives as long as the handle. A new file is filled
    /// with the cities shipped with the program.
    pub(crate) async fn open(path: Option<&Path>) -> Result<Self, DbError> {
        let (path, directory) = match path {
            Some(path) => (path.to_owned(), None),
            None => {
                let directory = tempfile::Builder::new()
                    .prefix("quickstart-")
                    .tempdir()
                    .map_err(DbError::Temporary)?;
                (directory.path().join("cities.db"), Some(directory))
            }
        };
        let db = Self {
            inner: Arc::new(Inner {
                idle: Mutex::default(),
                permits: Arc::new(Semaphore::new(CONNECTIONS)),
                path,
                _directory: directory,
            }),
        };
        db.run(prepare).await?.then_some(db).ok_or(DbError::Foreign)
    }

    /// A number that no other database has, whatever its path: what is cached of one must not be
    /// taken for another's.
    pub(crate) async fn identity(&self) -> Result<u32, DbError> {
        self.run(|db| db.pragma_query_value(None, "user_version", |row| row.get(0))).await
    }

    /// How many cities there are.
    pub(crate) async fn count(&self) -> Result<u32, DbError> {
        self.run(|db| db.query_row("SELECT count(*) FROM cities", [], |row| row.get(0))).await
    }

    /// One city.
    pub(crate) async fn city(&self, id: i64) -> Result<Option<City>, DbError> {
        self.run(move |db| city(db, id)).await
    }

    /// Cities, the most populous first.
    pub(crate) async fn search(&self, search: Search) -> Result<Vec<City>, DbError> {
        self.run(move |db| {
            db.prepare_cached(&format!(
                "{SELECT_CITY} WHERE (?1 IS NULL OR cities.country = ?1) AND cities.population >= ?2
                 ORDER BY cities.population DESC, cities.id LIMIT ?3"
            ))?
            .query_map((search.country, search.min_population, search.limit), read_city)?
            .collect()
        })
        .await
    }

    /// Figures over all cities; takes SQLite some hundred milliseconds.
    pub(crate) async fn stats(&self) -> Result<Stats, DbError> {
        self.run(|db| {
            let mut countries = db
                .prepare_cached(SELECT_STATS)?
                .query_map([], read_country)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let cities = countries.iter().map(|country| country.cities).sum();
            let population = countries.iter().map(|country| country.population).sum();
            let number = countries.len();
            countries.truncate(LARGEST);
            Ok(Stats { cities, population, countries: number, largest_countries: countries })
        })
        .await
    }

    /// Sets a city's population and returns the city once that is committed; `None` where there
    /// is no such city.
    pub(crate) async fn set_population(
        &self,
        id: i64,
        population: u32,
    ) -> Result<Option<City>, DbError> {
        self.run(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached("UPDATE cities SET population = ?2 WHERE id = ?1")?
                .execute((id, population))?;
            let city = city(&transaction, id)?;
            transaction.commit()?;
            Ok(city)
        })
        .await
    }

    /// Runs blocking work with a connection, away from the threads that serve requests.
    ///
    /// # Cancellation
    ///
    /// Work that has started runs to its end although nobody waits for it any more, and keeps its
    /// connection until then.
    async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        // An error would say that the semaphore is closed, which this one never is.
        let permit = Arc::clone(&self.inner.permits).acquire_owned().await.ok();
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = inner.idle().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(&inner.path)?,
            };
            let outcome = work(&mut connection);
            // After a panic the connection is not put back; the next query opens another one.
            inner.idle().push(connection);
            outcome
        });
        Ok(task.await??)
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Nothing panics while the lock is held, and a list of connections is always in order.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.create_scalar_function(
        "distance_km",
        4,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |call| Ok(distance_km((call.get(0)?, call.get(1)?), (call.get(2)?, call.get(3)?))),
    )?;
    Ok(connection)
}

/// Makes sure that the file holds our tables; `false` where it is somebody else's.
fn prepare(connection: &mut Connection) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i32 = pragma(&transaction, "application_id")?;
    if application != APPLICATION_ID {
        let objects: u32 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application != 0 || objects != 0 {
            return Ok(false);
        }
        transaction.execute_batch(SCHEMA)?;
        load(&transaction, "INSERT INTO countries VALUES (?, ?, ?)", COUNTRIES)?;
        load(&transaction, "INSERT INTO cities VALUES (?, ?, ?, ?, ?, ?, ?)", CITIES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    if pragma(&transaction, "user_version")? == 0 {
        let identity: i32 =
            transaction.query_row("SELECT abs(random() % 2147483647) + 1", [], |row| row.get(0))?;
        transaction.pragma_update(None, "user_version", identity)?;
    }
    transaction.commit()?;
    // Readers go on while somebody writes.
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(true)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Inserts the rows of a table with a header line. The tables are `STRICT`: SQLite turns the text
/// into numbers where a column says so, and refuses what is none.
fn load(transaction: &Transaction<'_>, insert: &str, table: &str) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(insert)?;
    for line in table.lines().skip(1) {
        insert.execute(rusqlite::params_from_iter(line.split('\t')))?;
    }
    Ok(())
}

fn city(connection: &Connection, id: i64) -> rusqlite::Result<Option<City>> {
    connection
        .prepare_cached(&format!("{SELECT_CITY} WHERE cities.id = ?1"))?
        .query_row([id], read_city)
        .optional()
}

/// Reads a row of [`SELECT_CITY`].
fn read_city(row: &Row<'_>) -> rusqlite::Result<City> {
    Ok(City {
        id: row.get(0)?,
        name: row.get(1)?,
        country: row.get(2)?,
        country_name: row.get(3)?,
        latitude: row.get(4)?,
        longitude: row.get(5)?,
        population: row.get(6)?,
        timezone: row.get(7)?,
        rank_in_country: row.get(8)?,
    })
}

/// Reads a row of [`SELECT_STATS`].
fn read_country(row: &Row<'_>) -> rusqlite::Result<CountryStats> {
    Ok(CountryStats {
        country: row.get(0)?,
        name: row.get(1)?,
        cities: row.get(2)?,
        population: row.get(3)?,
        mean_km_to_nearest: row.get::<_, Option<f64>>(4)?.map(rounded),
        most_remote_city: row.get(5)?,
        most_remote_km: row.get::<_, Option<f64>>(6)?.map(rounded),
    })
}

/// To a tenth.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The great-circle distance between two points given as latitude and longitude in degrees, by
/// the haversine formula on a sphere.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    const MEAN_DIAMETER_KM: f64 = 2.0 * 6_371.009;
    let (from_latitude, to_latitude) = (from.0.to_radians(), to.0.to_radians());
    let half_height = ((to_latitude - from_latitude) / 2.0).sin();
    let half_width = ((to.1 - from.1).to_radians() / 2.0).sin();
    let haversine = half_height * half_height
        + from_latitude.cos() * to_latitude.cos() * half_width * half_width;
    MEAN_DIAMETER_KM * haversine.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: i64 = 2_988_507;
    const LYON: i64 = 2_996_944;

    #[test]
    fn distances_are_right() {
        let (paris, new_york) = ((48.856_613, 2.352_222), (40.712_778, -74.006_111));
        assert!((distance_km(paris, new_york) - 5_837.0).abs() < 5.0);
        assert!((distance_km((0.0, 179.0), (0.0, -179.0)) - 222.4).abs() < 0.1);
        assert!((distance_km((90.0, 0.0), (-90.0, 50.0)) - 20_015.1).abs() < 0.1);
    }

    #[tokio::test]
    async fn every_shipped_row_is_loaded() {
        let db = Db::open(None).await.unwrap();
        let rows = CITIES.lines().count() - 1;
        assert_eq!(db.count().await.unwrap() as usize, rows);
        let city = db.city(PARIS).await.unwrap().unwrap();
        assert_eq!((city.name.as_str(), city.country_name.as_str()), ("Paris", "France"));
        assert_eq!(city.rank_in_country, 1);
        let stats = db.stats().await.unwrap();
        assert_eq!(stats.cities as usize, rows);
        assert_eq!(stats.countries, COUNTRIES.lines().count() - 1);
    }

    #[tokio::test]
    async fn a_search_is_sorted_and_limited() {
        let db = Db::open(None).await.unwrap();
        let search = Search { country: Some("FR".into()), min_population: 500_000, limit: 3 };
        let names = db.search(search).await.unwrap().into_iter().map(|city| city.name);
        assert_eq!(names.collect::<Vec<_>>(), ["Paris", "Marseille", "Lyon"]);
    }

    #[tokio::test]
    async fn a_file_keeps_what_was_written() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("cities.db");
        let db = Db::open(Some(&path)).await.unwrap();
        let city = db.set_population(LYON, 9_000_000).await.unwrap().unwrap();
        assert_eq!((city.population, city.rank_in_country), (9_000_000, 1));
        assert!(db.set_population(1, 5).await.unwrap().is_none());
        drop(db);
        let db = Db::open(Some(&path)).await.unwrap();
        assert_eq!(db.city(PARIS).await.unwrap().unwrap().rank_in_country, 2);
    }

    #[tokio::test]
    async fn a_foreign_file_is_left_alone() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Db::open(Some(&path)).await, Err(DbError::Foreign)));
        assert_eq!(std::fs::read(&path).unwrap(), before);

        std::fs::write(&path, "not a database, but a text that is long enough to be one").unwrap();
        assert!(matches!(Db::open(Some(&path)).await, Err(DbError::Sqlite(_))));
    }

    #[tokio::test]
    async fn the_temporary_file_goes_with_the_last_handle() {
        let db = Db::open(None).await.unwrap();
        let path = db.inner.path.clone();
        assert!(path.exists());
        drop(db);
        assert!(!path.parent().unwrap().exists());
    }
}
