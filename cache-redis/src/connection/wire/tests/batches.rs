//! Lookups that share their question and its proof.

use std::sync::Mutex;

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::meta::Score;

const REPLICA: &str = "-ERR WAIT cannot be used with replica instances. Please also note that\r\n";
const BUSY: &str = "-BUSY Redis is busy running a script.\r\n";
const WAIT: [&str; 3] = ["WAIT", "0", "0"];
const STATE: [&str; 2] = ["ZMSCORE", "STATE"];

/// A lookup of this name.
fn look_up(wire: &Wire, text: &str) -> Replies {
    look_up_until(wire, text, u64::MAX).unwrap()
}

/// Reads a command of the client's.
async fn command(server: &mut DuplexStream) -> Vec<String> {
    let mut words = Vec::new();
    let count = number(server).await;
    for _ in 0..count {
        let mut word = vec![0; number(server).await + 2];
        server.read_exact(&mut word).await.unwrap();
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    words
}

async fn number(server: &mut DuplexStream) -> usize {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        line.push(server.read_u8().await.unwrap().into());
    }
    line[1..].trim().parse().unwrap()
}

/// What a lookup is told under which this text is.
fn said(text: &str) -> Said {
    Said::of(string(text).into(), &[], &[])
}

fn string(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The end of a batch, as a primary says it.
const END: &str = "*0\r\n:0\r\n";

/// Two entries, one of which is under each name.
const AB: &str = "*2\r\n$1\r\na\r\n$1\r\nb\r\n";

/// Reads lookups of these names, their question and its proof, and says nothing.
async fn expect_batch(server: &mut DuplexStream, names: &[&str]) {
    assert_eq!(command(server).await, [&["MGET"], names].concat());
    assert_eq!(command(server).await, STATE);
    assert_eq!(command(server).await, WAIT);
}

async fn say(server: &mut DuplexStream, replies: &str) {
    server.write_all(replies.as_bytes()).await.unwrap();
    // The socket's task reads it.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lookups_that_are_written_together_get_nothing_before_their_one_proof() {
    let (wire, mut server) = pipe(1 << 20);
    let mut calls = ["a", "b", "c"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["a", "b", "c"]).await;
    let parts = ["*", "3\r\n$1\r\na\r\n", "$1\r\nb\r\n$1\r\nc\r\n*", "0\r\n", ":", "0\r"];
    for replies in parts {
        for call in &mut calls {
            assert!(matches!(call.try_recv(), Err(TryRecvError::Empty)), "before {replies:?}");
        }
        say(&mut server, replies).await;
    }
    assert_eq!(wire.0.places.available_permits(), PLACES - 3);
    say(&mut server, "\n").await;
    for (call, text) in calls.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(call.await.unwrap().unwrap(), said(text));
    }
    assert_eq!(wire.0.places.available_permits(), PLACES);
}

#[tokio::test]
async fn a_batch_that_a_replica_refuses_gets_nothing_and_neither_does_the_next() {
    let (wire, mut server) = pipe(1 << 20);
    let first = ["a", "b"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["a", "b"]).await;
    let next = look_up(&wire, "c");
    expect_batch(&mut server, &["c"]).await;
    // It is a primary again by then: with which data?
    say(&mut server, &[AB, "*0\r\n", REPLICA, "*1\r\n$1\r\nc\r\n", END].concat()).await;
    for call in first.into_iter().chain([next]) {
        assert!(matches!(call.await.unwrap(), Err(Fault::Unproven)));
    }
    assert!(wire.has_ended());
}

#[tokio::test]
async fn a_proof_that_is_refused_for_another_reason_is_missing_in_its_batch_only() {
    let (wire, mut server) = pipe(1 << 20);
    let calls = ["a", "b"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["a", "b"]).await;
    say(&mut server, &[AB, "*0\r\n", BUSY].concat()).await;
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(Fault::Unproven)));
    }
    let next = look_up(&wire, "c");
    expect_batch(&mut server, &["c"]).await;
    say(&mut server, &["*1\r\n$1\r\nc\r\n", END].concat()).await;
    assert_eq!(next.await.unwrap().unwrap(), said("c"));
    assert_eq!(wire.0.places.available_permits(), PLACES);
}

#[tokio::test]
async fn lookups_that_are_answered_but_not_proved_fail_with_their_socket() {
    for rest in ["", "*0\r\n", "*0\r\n:", "*0\r\n:0\r"] {
        let (wire, mut server) = pipe(1 << 20);
        let calls = ["a", "b"].map(|text| look_up(&wire, text));
        expect_batch(&mut server, &["a", "b"]).await;
        say(&mut server, &[AB, rest].concat()).await;
        drop(server);
        for call in calls {
            assert!(call.await.unwrap().unwrap_err().is_disconnect(), "{rest:?}");
        }
    }
}

#[tokio::test]
async fn a_late_proof_serves_nobody_whose_time_is_over() {
    let (wire, mut server) = pipe(1 << 20);
    let late = look_up_until(&wire, "a", now_millis() + 20).unwrap();
    let patient = look_up(&wire, "b");
    expect_batch(&mut server, &["a", "b"]).await;
    say(&mut server, AB).await;
    let outcome = tokio::time::timeout(Duration::from_secs(30), late).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    say(&mut server, END).await;
    assert_eq!(patient.await.unwrap().unwrap(), said("b"));
    assert_eq!(wire.0.places.available_permits(), PLACES);
}

#[tokio::test]
async fn another_call_ends_the_batch_before_it() {
    let (wire, mut server) = pipe(1 << 20);
    let first = look_up(&wire, "a");
    let between = tokio::spawn(ask(Arc::clone(&wire), "b".to_owned()));
    tokio::task::yield_now().await;
    let last = look_up(&wire, "c");
    expect_batch(&mut server, &["a"]).await;
    assert_eq!(command(&mut server).await, ["ECHO", "b"]);
    expect_batch(&mut server, &["c"]).await;
    say(&mut server, &["*1\r\n$1\r\na\r\n", END].concat()).await;
    assert_eq!(first.await.unwrap().unwrap(), said("a"), "it does not wait for what is behind");
    say(&mut server, &["$1\r\nb\r\n*1\r\n$1\r\nc\r\n", END].concat()).await;
    assert_eq!(between.await.unwrap().unwrap(), "b");
    assert_eq!(last.await.unwrap().unwrap(), said("c"));
}

#[tokio::test]
async fn a_batch_has_no_more_entries_than_are_allowed() {
    let (wire, mut server) = pipe(1 << 20);
    let first = ["a", "b", "c", "d", "e"].map(|name| look_up(&wire, name));
    expect_batch(&mut server, &["a", "b", "c", "d"]).await;
    expect_batch(&mut server, &["e"]).await;
    let strings: String = ["a", "b", "c", "d"].map(string).concat();
    say(&mut server, &format!("*4\r\n{strings}{END}*1\r\n$1\r\ne\r\n{END}")).await;
    for call in first {
        call.await.unwrap().unwrap();
    }
    // What was learnt holds from the next writing on.
    let next = look_up(&wire, "f");
    expect_batch(&mut server, &["f"]).await;
    say(&mut server, &["*1\r\n$1\r\nf\r\n", END].concat()).await;
    next.await.unwrap().unwrap();

    let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let calls: Vec<_> = names.iter().map(|name| look_up(&wire, name)).collect();
    for names in names.chunks(32) {
        expect_batch(&mut server, names).await;
        let strings: String = names.iter().copied().map(string).collect();
        say(&mut server, &format!("*{}\r\n{strings}{END}", names.len())).await;
    }
    for (call, name) in calls.into_iter().zip(names) {
        assert_eq!(call.await.unwrap().unwrap(), said(name));
    }
}

#[tokio::test]
async fn lookups_of_one_name_are_one_read_for_all_that_began_before_it() {
    let (wire, mut server) = pipe(1 << 20);
    let late = look_up_until(&wire, "a", now_millis() + 20).unwrap();
    let calls = ["a", "b", "a", "a"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["a", "b"]).await;
    // It was sent before this one began.
    let next = look_up(&wire, "a");
    expect_batch(&mut server, &["a"]).await;
    let outcome = tokio::time::timeout(Duration::from_secs(30), late).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    assert_eq!(wire.0.places.available_permits(), PLACES - 6);
    say(&mut server, &[AB, END, "*1\r\n$3\r\nnew\r\n", END].concat()).await;
    for (call, text) in calls.into_iter().zip(["a", "b", "a", "a"]) {
        assert_eq!(call.await.unwrap().unwrap(), said(text));
    }
    assert_eq!(next.await.unwrap().unwrap(), said("new"));
    assert_eq!(wire.0.places.available_permits(), PLACES);
}

#[tokio::test]
async fn an_error_in_place_of_the_entries_is_told_to_each() {
    let (wire, mut server) = pipe(1 << 20);
    let calls = ["a", "b", "a"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["a", "b"]).await;
    let next = look_up(&wire, "c");
    let refused = "-TRYAGAIN Multiple keys request during rehashing of slot\r\n";
    say(&mut server, &[refused, END, "*1\r\n$1\r\nc\r\n", END].concat()).await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().own, refused);
    }
    assert_eq!(next.await.unwrap().unwrap(), said("c"));
    assert_eq!(wire.0.places.available_permits(), PLACES);
}

#[tokio::test]
async fn entries_that_were_not_asked_for_end_the_socket() {
    for reply in ["*3\r\n", "*1\r\n", "*-1\r\n", "_\r\n", "+OK\r\n", ":2\r\n", "$1\r\na\r\n"] {
        let (wire, mut server) = pipe(1 << 20);
        let calls = ["a", "b"].map(|text| look_up(&wire, text));
        expect_batch(&mut server, &["a", "b"]).await;
        say(&mut server, &[reply, END, END].concat()).await;
        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(Fault::Protocol(_))), "{reply:?}");
        }
        assert!(wire.has_ended());
    }
}

#[tokio::test]
async fn lookups_with_large_replies_do_not_wait_for_each_other() {
    let (wire, mut server) = pipe(1 << 20);
    let large = "x".repeat(200_000);
    let first = look_up(&wire, "a");
    expect_batch(&mut server, &["a"]).await;
    say(&mut server, &["*1\r\n", &string(&large), END].concat()).await;
    assert!(first.await.unwrap().unwrap() == said(&large));
    // What was learnt holds from the next writing on.
    let calls = ["b", "c"].map(|text| look_up(&wire, text));
    expect_batch(&mut server, &["b", "c"]).await;
    say(&mut server, &[AB, END].concat()).await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let _calls = ["e", "f"].map(|text| look_up(&wire, text));
    for name in ["e", "f"] {
        expect_batch(&mut server, &[name]).await;
    }
}

#[tokio::test]
async fn each_lookup_gets_the_answer_to_its_own_question() {
    let (wire, mut server) = pipe(1 << 20);
    let questions = ["Q0", "Q1", "Q2"].map(|name| Question::new(name, &["#"]));
    // Whose question, its words, and what their scores are.
    let lookups: [(usize, &[&str], &[i64]); 6] = [
        (0, &["a", "b"], &[1, 2]),
        (1, &["c"], &[3]),
        (0, &[], &[]),
        (2, &["d"], &[4]),
        (1, &["e", "c"], &[5, 3]),
        (0, &["b", "a", "b"], &[2, 1, 2]),
    ];
    let calls = lookups.map(|(n, words, scores)| {
        let (words, number) = (words.iter().copied(), 0);
        let name = |out: &mut Vec<u8>| words::put_word(out, "x");
        let wanted = Wanted { question: &questions[n], words, number, name };
        (n, scores, wire.try_look_up(wanted, u64::MAX).unwrap())
    });
    for words in ["Q0 # a b", "Q1 # c e", "Q2 # d"] {
        assert_eq!(command(&mut server).await, ["MGET", "x"]);
        assert_eq!(command(&mut server).await.join(" "), format!("ZMSCORE {words}"));
    }
    assert_eq!(command(&mut server).await, WAIT);
    let replies = ["*3\r\n,10\r\n,1\r\n,2\r\n", "*3\r\n,11\r\n,3\r\n,5\r\n", "*2\r\n,12\r\n,4\r\n"];
    let replies = replies.map(|scores| format!("*1\r\n$1\r\nx\r\n{scores}"));
    say(&mut server, &[replies.concat().as_str(), ":0\r\n"].concat()).await;
    for (n, scores, call) in calls {
        let said = call.await.unwrap().unwrap();
        let state = 10 + i64::try_from(n).unwrap();
        let expected = std::iter::once(state).chain(scores.iter().copied()).map(Score::Whole);
        assert!(said.scores(1).unwrap().eq(expected), "{said:?}");
    }
}

/// What one caller does.
#[derive(Clone, Debug)]
struct Caller {
    /// The entry that it looks up, and members whose scores it asks for; other calls have none.
    wants: Option<(usize, Vec<usize>)>,
    size: usize,
    gives_up: bool,
    /// It waits no longer than so many milliseconds.
    patience: Option<u64>,
    /// Others get a turn before the next one.
    pauses: bool,
}

/// Few names and words, so that many ask for the same.
fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let size = prop_oneof![4 => 0_usize..40, 1 => 30_000_usize..150_000];
    let wants = (0_usize..4, prop::collection::vec(0_usize..6, 0..4));
    let caller = (
        prop::option::weighted(0.8, wants),
        size,
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, 0_u64..4),
        any::<bool>(),
    );
    let caller = caller.prop_map(|(wants, size, gives_up, patience, pauses)| Caller {
        wants,
        size,
        gives_up,
        patience,
        pauses,
    });
    prop::collection::vec(caller, 1..60)
}

/// What has been asked of the server so far, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Entries,
    Other,
    /// Whether it said that it is a primary.
    Proof(bool),
}

/// Answers each command in parts, and every proof by the next verdict. An entry is its name, the number
/// of the command that asked for it, and as much more as its name says.
async fn answer(mut server: DuplexStream, proofs: Vec<bool>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut proofs = proofs.into_iter().cycle();
    loop {
        let words = command(&mut server).await;
        let (reply, what) = match words[0].as_str() {
            "MGET" => {
                let number = asked.lock().unwrap().len();
                let entry = |name: &String| {
                    let size = if name == "0" { 50_000 } else { 0 };
                    string(&format!("{name}-{number}-{}", "x".repeat(size)))
                };
                let entries: String = words[1..].iter().map(entry).collect();
                (format!("*{}\r\n{entries}", words.len() - 1), Asked::Entries)
            }
            "ZMSCORE" => {
                let scores: String = words[2..].iter().map(|word| format!(",{word}\r\n")).collect();
                (format!("*{}\r\n{scores}", words.len() - 2), Asked::Other)
            }
            "WAIT" => {
                let is_primary = proofs.next().unwrap();
                let reply = if is_primary { ":0\r\n" } else { BUSY };
                (reply.to_owned(), Asked::Proof(is_primary))
            }
            _ => (string(&words[1]), Asked::Other),
        };
        asked.lock().unwrap().push(what);
        for part in reply.as_bytes().chunks(1_999) {
            server.write_all(part).await.unwrap();
        }
    }
}

/// What a lookup was told, and how many commands the server had before it began.
type Told = (usize, Result<Said, Fault>);

fn look_up_some(wire: &Wire, caller: &Caller, (name, members): &(usize, Vec<usize>)) -> Replies {
    let members: Vec<_> = members.iter().map(usize::to_string).collect();
    let wanted = Wanted {
        question: state(),
        words: members.iter().map(String::as_str),
        number: 0,
        name: |out: &mut Vec<u8>| words::put_word(out, &name.to_string()),
    };
    let deadline = caller.patience.map_or(u64::MAX, |patience| now_millis() + patience);
    wire.try_look_up(wanted, deadline).unwrap()
}

/// Each lookup gets its own entry, read after it began, and its own scores, if, and only if, the first
/// proof that was asked for after them was given; whoever else calls, joins or leaves.
async fn everyone_gets_what_was_proved(callers: Vec<Caller>, proofs: Vec<bool>, room: usize) {
    let (wire, server) = pipe(room);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let server = tokio::spawn(answer(server, proofs, Arc::clone(&asked)));
    let (mut looking, mut others) = (Vec::new(), Vec::new());
    for (number, caller) in callers.iter().enumerate() {
        if let Some(wants) = &caller.wants {
            let began = asked.lock().unwrap().len();
            let call = look_up_some(&wire, caller, wants);
            if !caller.gives_up {
                let told = tokio::spawn(async move { (began, call.await.unwrap()) });
                looking.push((caller, wants, told));
            }
        } else {
            let text = format!("{number}-{}", "x".repeat(caller.size));
            let call = tokio::spawn(ask(Arc::clone(&wire), text.clone()));
            others.push((text, call));
            // It is left to the socket's task before the next one is.
            tokio::task::yield_now().await;
        }
        if caller.pauses {
            tokio::task::yield_now().await;
        }
    }
    let limit = Duration::from_secs(30);
    for (text, call) in others {
        let got = tokio::time::timeout(limit, call).await.unwrap().unwrap().unwrap();
        assert_eq!(got, text);
    }
    let mut told = Vec::new();
    for (caller, wants, call) in looking {
        told.push((caller, wants, tokio::time::timeout(limit, call).await.unwrap().unwrap()));
    }
    // Those who gave up last may be without an answer still.
    until(|| wire.0.places.available_permits() == PLACES).await;
    server.abort();
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    for (caller, wants, told) in told {
        assert_told(caller, wants, told, &asked);
    }
}

fn assert_told(
    caller: &Caller,
    (name, members): &(usize, Vec<usize>),
    (began, told): Told,
    asked: &[Asked],
) {
    match told {
        Ok(said) => {
            let own = String::from_utf8(said.own.to_vec()).unwrap();
            let (_, entry) = own.split_once("\r\n").unwrap();
            let mut parts = entry.split('-');
            assert_eq!(parts.next().unwrap(), name.to_string());
            let read: usize = parts.next().unwrap().parse().unwrap();
            assert!(read >= began, "read before it began");
            assert_eq!(asked[read], Asked::Entries);
            let proof = asked[read..].iter().find(|asked| matches!(asked, Asked::Proof(_)));
            assert_eq!(proof, Some(&Asked::Proof(true)));
            let scores = members.iter().map(|member| Score::Whole(i64::try_from(*member).unwrap()));
            assert!(said.scores(0).unwrap().eq(scores), "{said:?}");
        }
        Err(Fault::Unproven) => assert!(asked[began..].contains(&Asked::Proof(false))),
        Err(Fault::TimedOut(_)) => assert!(caller.patience.is_some()),
        Err(fault) => panic!("{fault:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nobody_gets_what_was_not_proved_or_is_anothers(
        callers in callers(),
        proofs in prop::collection::vec(prop::bool::weighted(0.7), 1..5),
        room in prop_oneof![Just(1_usize << 10), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(everyone_gets_what_was_proved(callers, proofs, room));
    }
}
