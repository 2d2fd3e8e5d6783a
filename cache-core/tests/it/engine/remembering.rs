//! What threads remember makes no difference to what is answered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{Policy, threads};
use http::Response;

use super::rig::{Answer, Rig};

#[test]
fn threads_that_remember_little_or_nothing_answer_the_same() {
    let usual = answers();
    for most in [0, 1] {
        threads::remember_answers(most).unwrap();
        // A thread that has remembered nothing yet.
        let answers = std::thread::spawn(answers).join().unwrap();
        threads::remember_answers(threads::USUAL).unwrap();
        assert_eq!(answers, usual, "{most}");
    }
}

/// To requests for several keys in turns: a miss, and hits in a store that has them and in one that
/// keeps bytes.
fn answers() -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rig = Rig::new(Policy::ttl(Duration::from_secs(60)), None).handler(|_, _| {
            let response = Response::builder().header("vary", "accept-language");
            response.header("etag", "\"a\"").body("text").unwrap()
        });
        let mut answers = Vec::new();
        for keeps_bytes in [false, true] {
            rig.store.waits.store(keeps_bytes, Ordering::SeqCst);
            rig.store.keeps_bytes.store(keeps_bytes, Ordering::SeqCst);
            for path in ["/a", "/b", "/a", "/b", "/a"] {
                for fields in [&[("accept-language", "de")][..], &[("if-none-match", "\"a\"")]] {
                    answers.push(rig.get_with(path, fields).await);
                }
            }
        }
        assert_eq!(rig.runs(), 4);
        answers
    })
}
