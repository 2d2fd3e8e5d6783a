//! The cases. Each takes the path of a proxy's program, and panics where it does not hold.

use std::net::TcpListener;

use crate::message::Message;
use crate::origin::{Act, Origin, ok};
use crate::proxy::{MUTE, Proxy};

/// Makes the cases, and a macro that makes a test of each.
macro_rules! cases {
    ($(fn $name:ident($program:ident) $body:block)*) => {
        $(#[doc = concat!("See the name: `", stringify!($name), "`.")]
        pub fn $name($program: &str) $body)*

        /// Makes a test of each case, against the program at this path.
        #[macro_export]
        macro_rules! proxy_cases {
            ($path:expr) => {
                $(#[test]
                fn $name() {
                    $crate::cases::$name($path);
                })*
            };
        }
    };
}

/// Fields of one connection, or of one proxy (RFC 9110 §7.6.1, §11.7), and one that `Connection`
/// names.
const HOP_BY_HOP: &str = "connection: close, x-named\r\nx-named: 1\r\nkeep-alive: timeout=5\r\n\
    proxy-connection: keep-alive\r\nproxy-authenticate: Basic\r\nproxy-authorization: Basic eA==\r\n\
    proxy-authentication-info: x\r\nte: trailers\r\ntrailer: x-last\r\nupgrade: other/1\r\n";

/// None of them is there, except for what a connection of the receiver's own says.
fn has_no_hop_by_hop(message: &Message) {
    let own = ["connection", "transfer-encoding"];
    for line in HOP_BY_HOP.lines() {
        let name = line.split(':').next().unwrap();
        if !own.contains(&name) {
            assert!(message.values(name).is_empty(), "{name}: {message:?}");
        }
    }
    assert!(!message.field("connection").contains("x-named"), "{message:?}");
}

cases! {
    fn every_method_passes(program) {
        let origin = Origin::answering("cache-control: no-store\r\n", "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "M-SEARCH", "PROPFIND", "X-own_1"];
        for method in methods {
            let request = format!("{method} /a%2Fb/../c?d=%20&e HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
            let answer = proxy.exchange(request.as_bytes());
            assert_eq!(answer.status(), 200, "{method}: {answer:?}");
            assert_eq!(answer.text(), if method == "HEAD" { "" } else { "answer" }, "{method}");
            let seen = origin.seen().request;
            assert_eq!(seen.line, format!("{method} /a%2Fb/../c?d=%20&e HTTP/1.1"));
            assert_eq!((seen.field("host"), seen.text()), ("h", ""));
        }
    }

    fn content_passes_in_both_framings(program) {
        let origin = Origin::new(|request| {
            Act::Answer(ok("", &format!("{} {}", request.text(), request.whole)))
        });
        let proxy = Proxy::start(program, &origin, &[]);
        for method in ["POST", "PUT", "DELETE", "PROPFIND", "GET"] {
            let head = format!("{method} / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n");
            let sized = format!("{head}content-length: 5\r\n\r\nhello");
            assert_eq!(proxy.exchange(sized.as_bytes()).text(), "hello true", "{method}");
            let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
            assert_eq!(proxy.exchange(chunked.as_bytes()).text(), "hello true", "{method}");
        }
    }

    fn every_status_passes(program) {
        let statuses = [200, 201, 203, 206, 299, 301, 400, 404, 418, 499, 500, 503, 599, 600, 799, 999];
        let origin = Origin::new(|request| {
            let status = request.field("x-status");
            Act::Answer(format!("HTTP/1.1 {status} Odd\r\ncontent-length: 2\r\n\r\nok").into_bytes())
        });
        let proxy = Proxy::start(program, &origin, &[]);
        for status in statuses {
            let answer = proxy.get(&format!("/{status}"), &format!("x-status: {status}\r\n"));
            assert_eq!((answer.status(), answer.text()), (status, "ok"), "{answer:?}");
        }
    }

    fn answers_without_content_pass(program) {
        let origin = Origin::new(|request| {
            let status = request.field("x-status");
            let length = if status == "200" { "content-length: 26\r\n" } else { "" };
            Act::Answer(format!("HTTP/1.1 {status} X\r\n{length}etag: \"a\"\r\ncache-control: no-store\r\n\r\n").into_bytes())
        });
        let proxy = Proxy::start(program, &origin, &[]);
        for status in [204, 304] {
            let answer = proxy.get(&format!("/{status}"), &format!("x-status: {status}\r\n"));
            assert_eq!((answer.status(), answer.field("etag")), (status, "\"a\""));
            assert!(answer.values("content-length").is_empty(), "{answer:?}");
        }
        let head = "HEAD /h HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-status: ";
        let answer = proxy.exchange(format!("{head}200\r\n\r\n").as_bytes());
        assert_eq!((answer.status(), answer.field("content-length")), (200, "26"), "{answer:?}");
        let unknown = proxy.exchange(format!("{head}203\r\n\r\n").as_bytes());
        assert!(unknown.values("content-length").is_empty(), "{unknown:?}");
    }

    fn repeated_and_non_ascii_lines_pass(program) {
        let fields = b"x-a: 1\r\nx-a: 2, 3\r\nx-b: \xe9\xff \xc3\xa9\r\nx-empty:\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n";
        let mut response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec();
        response.extend_from_slice(fields);
        response.extend_from_slice(b"\r\n");
        let origin = Origin::new(move |_| Act::Answer(response.clone()));
        let proxy = Proxy::start(program, &origin, &[]);
        let mut request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n".to_vec();
        request.extend_from_slice(fields);
        request.extend_from_slice(b"\r\n");
        let answer = proxy.exchange(&request);
        for message in [&answer, &origin.seen().request] {
            assert_eq!(message.values("x-a"), [&b"1"[..], b"2, 3"]);
            assert_eq!(message.values("x-b"), [b"\xe9\xff \xc3\xa9"]);
            assert_eq!(message.values("x-empty"), [b""]);
            assert_eq!(message.values("set-cookie"), [b"a=1", b"b=2"]);
        }
    }

    fn hop_by_hop_fields_end_at_the_proxy(program) {
        let origin = Origin::answering(HOP_BY_HOP, "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{HOP_BY_HOP}\r\n");
        let answer = proxy.exchange(request.as_bytes());
        assert_eq!((answer.status(), answer.text()), (200, "answer"));
        has_no_hop_by_hop(&answer);
        let seen = origin.seen().request;
        has_no_hop_by_hop(&seen);
        assert_eq!(seen.field("connection"), "close");
    }

    fn hop_by_hop_fields_are_not_stored(program) {
        let fields = format!("cache-control: max-age=60\r\nx-kept: 1\r\n{HOP_BY_HOP}");
        let origin = Origin::answering(&fields, "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        proxy.get("/", "");
        let hit = proxy.get("/", "");
        assert_eq!((hit.field("x-cache"), hit.text(), hit.field("x-kept")), ("HIT", "answer", "1"));
        has_no_hop_by_hop(&hit);
        origin.seen();
        origin.saw_no_more();
    }

    fn what_ends_at_the_proxy_selects_nothing(program) {
        let origin = Origin::new(|request| {
            let (host, language) = (request.field("host"), request.field("accept-language"));
            let text = format!("{host} {language}");
            Act::Answer(ok("cache-control: max-age=60\r\nvary: accept-language\r\n", &text))
        });
        let proxy = Proxy::start(program, &origin, &[]);
        for (path, named) in [("/a", "host"), ("/b", "accept-language")] {
            let language = "accept-language: de\r\n";
            proxy.exchange(format!("GET {path} HTTP/1.1\r\nhost: h\r\n{language}connection: close, {named}\r\n\r\n").as_bytes());
            assert_eq!(proxy.get(path, language).text(), "h de", "{named}");
        }
    }

    fn nothing_is_added(program) {
        let date = "date: Mon, 02 Jan 2023 00:00:00 GMT\r\nx-own: 1\r\n";
        let origin = Origin::answering(date, "answer");
        let proxy = Proxy::start(program, &origin, &[MUTE]);
        let answer = proxy.exchange(b"GET / HTTP/1.1\r\nhost: other.example:81\r\nx-own: 1\r\nconnection: close\r\n\r\n");
        let seen = origin.seen().request;
        assert_eq!(seen.names(), ["connection", "host", "x-own"]);
        assert_eq!(seen.field("host"), "other.example:81");
        let names: Vec<_> = answer.names().into_iter().filter(|name| *name != "connection").collect();
        assert_eq!(names, ["content-length", "date", "x-own"]);
        assert_eq!(answer.field("date"), "Mon, 02 Jan 2023 00:00:00 GMT");
    }

    fn the_absolute_form_names_the_host(program) {
        let origin = Origin::answering("", "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        let answer = proxy.exchange(b"GET http://a.example/x?y HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
        assert_eq!(answer.status(), 200);
        let seen = origin.seen().request;
        assert_eq!((seen.line.as_str(), seen.field("host")), ("GET /x?y HTTP/1.1", "a.example"));
    }

    fn no_connection_to_the_origin_is_kept(program) {
        let origin = Origin::answering("cache-control: no-store\r\n", "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        for _ in 0..3 {
            assert_eq!(proxy.get("/", "").text(), "answer");
            let seen = origin.seen();
            assert!(seen.closed, "the connection stays open");
            assert_eq!(seen.request.field("connection"), "close");
        }
    }

    fn an_origin_that_is_not_there_is_a_502(program) {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = Proxy::before(program, nobody, &[]);
        let answer = proxy.get("/", "");
        assert_eq!((answer.status(), answer.field("cache-control")), (502, "no-store"));
    }

    fn an_origin_that_breaks_off_is_a_502_and_asked_once(program) {
        let origin = Origin::new(|request| {
            let said: &[u8] = match request.field("x-said") {
                "nothing" => b"",
                "part" => b"HTTP/1.1 200 OK\r\nx-a: ",
                _ => b"220 ready\r\n\r\n",
            };
            Act::BreakOff(said.to_vec())
        });
        let proxy = Proxy::start(program, &origin, &[]);
        for method in ["GET", "POST"] {
            for said in ["nothing", "part", "nonsense"] {
                let head = format!("{method} /{said} HTTP/1.1\r\nhost: h\r\nx-said: {said}\r\n");
                let request = format!("{head}connection: close\r\ncontent-length: 0\r\n\r\n");
                assert_eq!(proxy.exchange(request.as_bytes()).status(), 502, "{method} {said}");
                origin.seen();
                origin.saw_no_more();
            }
        }
    }

    fn a_silent_origin_is_a_504(program) {
        let origin = Origin::new(|_| Act::FallSilent(Vec::new()));
        let proxy = Proxy::start(program, &origin, &["--patience=1"]);
        assert_eq!(proxy.get("/", "").status(), 504);
        assert!(origin.seen().closed);
        origin.saw_no_more();
    }

    fn an_answer_that_breaks_off_is_broken_and_not_stored(program) {
        let begun = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n";
        let sized = format!("{begun}content-length: 10\r\n\r\nhello");
        let chunked = format!("{begun}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        for answer in [sized, chunked] {
            let origin = Origin::new(move |request| match request.field("x-silent") {
                "" => Act::BreakOff(answer.clone().into_bytes()),
                _ => Act::FallSilent(answer.clone().into_bytes()),
            });
            let proxy = Proxy::start(program, &origin, &["--patience=1"]);
            for fields in ["", "x-silent: 1\r\n", ""] {
                // Its head may or may not have gone out.
                if let Some(answer) = proxy.try_get("/", fields) {
                    assert_eq!((answer.status(), answer.whole), (200, false), "{answer:?}");
                    assert_ne!(answer.field("x-cache"), "HIT");
                }
                origin.seen();
            }
        }
    }

    fn a_chunked_answer_passes_and_is_stored(program) {
        let chunked = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n\
            5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        let origin = Origin::new(|_| Act::Answer(chunked.to_owned().into_bytes()));
        let proxy = Proxy::start(program, &origin, &[]);
        let miss = proxy.get("/", "");
        assert_eq!((miss.text(), miss.whole), ("hello world", true));
        assert!(origin.seen().closed);
        let hit = proxy.get("/", "");
        assert_eq!((hit.field("x-cache"), hit.text()), ("HIT", "hello world"));
        let part = proxy.get("/", "range: bytes=0-0,-2\r\n");
        assert_eq!((part.status(), part.whole), (206, true), "{part:?}");
    }

    fn a_large_answer_streams(program) {
        let body = "x".repeat(20 << 20);
        let response = ok("cache-control: max-age=60\r\n", &body);
        let origin = Origin::new(move |_| Act::Answer(response.clone()));
        let proxy = Proxy::start(program, &origin, &[]);
        for _ in 0..2 {
            // Larger than what is stored: the origin is asked each time.
            let answer = proxy.get("/", "");
            assert_eq!((answer.body.len(), answer.whole), (body.len(), true));
            origin.seen();
        }
    }

    fn a_tunnel_is_refused(program) {
        let origin = Origin::answering("", "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        let answer = proxy.exchange(b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\nconnection: close\r\n\r\n");
        assert_eq!(answer.status(), 501);
        origin.saw_no_more();
    }

    fn it_stops_when_it_is_asked_to(program) {
        let origin = Origin::answering("", "answer");
        let proxy = Proxy::start(program, &origin, &[]);
        proxy.get("/", "");
        assert!(proxy.terminate().success());
    }

    fn bad_arguments_end_it_with_2(program) {
        for arguments in [&["--origin", "https://h"][..], &[], &["--origin=http://h", "--store=disk:x"]] {
            let output = std::process::Command::new(program).args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        }
    }
}
