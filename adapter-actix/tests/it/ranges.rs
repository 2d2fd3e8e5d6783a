//! Parts of what is stored.

use actix_web::{App, HttpResponse, web};

use crate::server::{Place, ask, cache, ttl};

const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

#[test]
fn parts_of_a_hit_are_framed_by_their_length() {
    for place in Place::ALL {
        let put = place.put(&cache(), ttl());
        let server = serve_at!(put, {
            let resource = web::resource("/x").wrap(put.inside());
            App::new().service(resource.to(|| async { HttpResponse::Ok().body(ALPHABET) }))
        });
        assert_eq!(ask(&server, "GET /x", &[]).text(), ALPHABET);

        let one = ask(&server, "GET /x", &["range: bytes=1-3"]);
        assert_eq!((one.status, one.text(), one.whole), (206, "bcd", true));
        assert_eq!(one.field("content-length"), Some("3"));
        assert_eq!(one.field("content-range"), Some("bytes 1-3/26"));

        let several = ask(&server, "GET /x", &["range: bytes=0-0,-1"]);
        assert_eq!((several.status, several.whole), (206, true));
        assert!(
            several.field("content-type").unwrap().starts_with("multipart/byteranges; boundary=")
        );
        assert!(
            several.field("content-length").is_some() && several.field("content-range").is_none()
        );
        let body = several.text();
        assert!(body.contains("content-range: bytes 0-0/26\r\n\r\na\r\n--"), "{body}");
        assert!(body.contains("content-range: bytes 25-25/26\r\n\r\nz\r\n--"), "{body}");

        let none = ask(&server, "GET /x", &["range: bytes=26-"]);
        assert_eq!((none.status, none.text()), (416, ""));
        assert_eq!(none.field("content-range"), Some("bytes */26"));
        let head = ask(&server, "HEAD /x", &["range: bytes=1-3"]);
        assert_eq!((head.status, head.field("content-length")), (200, Some("26")));
    }
}
