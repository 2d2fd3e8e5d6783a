//! Starting, refusing to start, and stopping.

use std::net::TcpListener;

use crate::program::{Program, run};

/// The program ends with code 2, prints nothing on standard output, and one line on standard
/// error that holds all of `parts`.
#[track_caller]
fn refuses(arguments: &[&str], parts: &[&str]) {
    let output = run(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(output.stdout.is_empty());
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("quickstart: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    refuses(&["--nonsense"], &["--nonsense", "--help"]);
    refuses(&["extra"], &["extra", "--help"]);
    refuses(&["--listen"], &["--listen", "--help"]);
    refuses(&["--listen", "banana"], &["banana"]);
    refuses(&["--listen", "127.0.0.1:99999"], &["127.0.0.1:99999"]);
    refuses(&["--store", "etcd://localhost"], &["--store", "etcd://localhost", "memory"]);
}

#[test]
fn a_taken_port_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses(&["--listen", &address], &[&address]);
}

#[test]
fn a_file_that_is_no_database_of_ours_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "Not a database. It should be as it was afterwards.\n").unwrap();
    let name = path.to_str().unwrap();
    refuses(&["--listen", "127.0.0.1:0", "--db", name], &[name]);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Not a database."));

    let nowhere = directory.path().join("missing/cities.db");
    let nowhere = nowhere.to_str().unwrap();
    refuses(&["--listen", "127.0.0.1:0", "--db", nowhere], &[nowhere]);
}

#[test]
fn help_is_printed() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["--listen", "--db", "--store", "--help"] {
        assert!(text.contains(part), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn sigterm_stops_it_cleanly() {
    let temporary = tempfile::tempdir().unwrap();
    let program = Program::start_with(|command| command.env("TMPDIR", temporary.path()));
    let base = format!("http://{}", program.address());
    assert_eq!(program.get("/cities/2988507").status, 200);
    assert_eq!(program.get("/nowhere?x=1").status, 404);
    // Neither kind of idle connection holds the program up.
    let mut kept_alive = program.client();
    kept_alive.get("/");
    let _silent = program.client();

    let files = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(files(), 1);
    let (code, printed) = program.stop();
    assert_eq!(code, Some(0));
    assert_eq!(files(), 0, "the temporary database is gone");

    let tour: Vec<_> = printed.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(tour.len() >= 5 && tour.iter().all(|line| line.contains(&base)), "{tour:?}");
    let logged: Vec<_> = printed.lines().skip_while(|line| !line.starts_with("GET ")).collect();
    assert!(logged[0].starts_with("GET /cities/2988507 200 MISS "), "{logged:?}");
    assert!(logged[1].starts_with("GET /nowhere?x=1 404 - "), "{logged:?}");
    assert_eq!(logged.last(), Some(&"Stopped."));
}

#[test]
fn a_database_file_outlives_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cities.db");
    let start = || Program::start_with(|command| command.arg("--db").arg(&path));
    assert_eq!(start().put("/cities/2988507?population=7").status, 200);
    assert_eq!(start().get("/cities/2988507").json()["population"], 7);
}
