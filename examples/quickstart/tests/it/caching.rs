//! What is cached, and what a write invalidates.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use crate::program::Program;

const PARIS: &str = "/cities/2988507";
const LYON: &str = "/cities/2996944";
const BERLIN: &str = "/cities/2950159";

#[test]
fn the_tour_of_the_readme() {
    let program = Program::start();

    let miss = program.get(PARIS);
    assert_eq!((miss.status, miss.cache()), (200, "MISS"));
    assert_eq!(miss.json()["population"], 2_138_551);
    let tag = miss.header("etag").expect("an entity tag on the first answer").to_owned();

    let hit = program.get(PARIS);
    assert_eq!((hit.status, hit.cache()), (200, "HIT"));
    assert_eq!(hit.body, miss.body);
    assert_eq!(hit.header("etag"), Some(&*tag));

    let unchanged = program.client().send("GET", PARIS, &[("If-None-Match", &tag)]);
    assert_eq!((unchanged.status, unchanged.cache()), (304, "HIT"));
    assert_eq!(unchanged.header("etag"), Some(&*tag));

    let written = program.put("/cities/2988507?population=2200000");
    assert_eq!((written.status, written.cache()), (200, "-"));
    assert_eq!(written.json()["city"]["population"], 2_200_000);
    assert_eq!(written.json()["answers_removed"], 1);

    let changed = program.client().send("GET", PARIS, &[("If-None-Match", &tag)]);
    assert_eq!((changed.status, changed.cache()), (200, "MISS"));
    assert_eq!(changed.json()["population"], 2_200_000);
    assert_ne!(changed.header("etag"), Some(&*tag));
    assert_eq!(program.get(PARIS).cache(), "HIT");
}

#[test]
fn a_write_removes_what_it_made_wrong_and_nothing_else() {
    let program = Program::start();
    let touched =
        [PARIS, LYON, "/cities", "/cities?country=FR&limit=2", "/cities?country=fr", "/stats"];
    let untouched = [BERLIN, "/cities?country=DE", "/"];
    for target in touched.into_iter().chain(untouched) {
        let first = program.get(target);
        assert_eq!(first.status, 200, "{target}");
        assert_eq!(program.get(target).body, first.body, "{target}");
    }
    let before = program.get("/stats").json();
    for target in touched {
        assert_eq!(program.get(target).cache(), "HIT", "{target}");
    }

    // Lyon outgrows Paris, so that the answer for Paris is wrong as well.
    let written = program.put("/cities/2996944?population=3000000");
    assert_eq!(written.json()["answers_removed"], touched.len());

    for target in untouched {
        assert_eq!(
            program.get(target).cache(),
            if target == "/" { "-" } else { "HIT" },
            "{target}"
        );
    }
    for target in touched {
        assert_eq!(program.get(target).cache(), "MISS", "{target}");
    }
    assert_eq!(program.get(PARIS).json()["rank_in_country"], 2);
    assert_eq!(program.get("/cities?country=FR&limit=2").json()[0]["name"], "Lyon");
    let grown = program.get("/stats").json()["population"].as_i64().unwrap();
    assert_eq!(grown - before["population"].as_i64().unwrap(), 3_000_000 - 520_774);
}

#[test]
fn errors_are_told_and_not_cached() {
    let program = Program::start();
    for (target, status, part) in [
        ("/cities/1", 404, "no city has the id 1"),
        ("/cities/paris", 400, "plain number"),
        ("/cities/02988507", 400, "plain number"),
        ("/cities?min_population=many", 400, "min_population"),
        ("/cities?limit=0", 400, "between 1 and 100"),
        ("/cities?country=France", 400, "two letters"),
        ("/nowhere", 404, "no such page"),
    ] {
        for _ in 0..2 {
            let reply = program.get(target);
            assert_eq!((reply.status, reply.cache()), (status, "-"), "{target}");
            let message = reply.json()["error"].as_str().unwrap().to_owned();
            assert!(message.contains(part), "{target}: {message}");
        }
    }
    for (target, status) in [
        ("/cities/1?population=5", 404),
        ("/cities/2988507", 400),
        ("/cities/2988507?population=-1", 400),
        ("/stats", 405),
    ] {
        assert_eq!(program.put(target).status, status, "{target}");
    }
}

#[test]
fn the_parameters_of_a_search_select_the_answer() {
    let program = Program::start();
    let few = program.get("/cities?country=FR&limit=1");
    let many = program.get("/cities?country=FR&limit=2");
    assert_eq!((few.cache(), many.cache()), ("MISS", "MISS"));
    assert_eq!(
        (few.json().as_array().unwrap().len(), many.json().as_array().unwrap().len()),
        (1, 2)
    );
    let reordered = program.get("/cities?limit=2&country=FR");
    assert_eq!((reordered.cache(), &reordered.body), ("HIT", &many.body));
}

#[test]
fn no_answer_is_older_than_a_finished_write() {
    const WRITES: u64 = 200;
    let program = Program::start();
    let finished = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = program.client();
                    let (mut reads, mut hits) = (0_u64, 0_u64);
                    while !done.load(Ordering::Acquire) {
                        let at_least = finished.load(Ordering::Acquire);
                        let reply = client.get(PARIS);
                        let population = reply.json()["population"].as_u64().unwrap();
                        assert!(
                            at_least == 0 || population >= at_least,
                            "{population} < {at_least}"
                        );
                        reads += 1;
                        hits += u64::from(reply.cache() == "HIT");
                    }
                    (reads, hits)
                })
            })
            .collect();
        let mut client = program.client();
        for population in 1..=WRITES {
            let target = format!("{PARIS}?population={population}");
            assert_eq!(client.send("PUT", &target, &[]).status, 200);
            finished.store(population, Ordering::Release);
        }
        done.store(true, Ordering::Release);
        let (reads, hits) = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(hits > 0, "{reads} reads, none from the cache");
    });
    assert_eq!(program.get(PARIS).json()["population"], WRITES);
}

#[test]
fn a_write_whose_client_has_gone_still_invalidates() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cities.db");
    let program = Program::start_with(|command| command.arg("--db").arg(&path));
    program.get(PARIS);
    assert_eq!(program.get(PARIS).cache(), "HIT");

    // A second process holds the write lock while the client sends its write and goes away.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    program.client().hang_up_on("PUT", "/cities/2988507?population=12");
    std::thread::sleep(Duration::from_millis(300));
    other.execute_batch("COMMIT").unwrap();

    for _ in 0..100 {
        let population: u32 = other
            .query_row("SELECT population FROM cities WHERE id = 2988507", [], |row| row.get(0))
            .unwrap();
        if population == 12 && program.get(PARIS).json()["population"] == 12 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", program.get(PARIS));
}
