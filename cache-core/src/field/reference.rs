//! URI references in `Location` and `Content-Location`, as far as they stay on one origin
//! (RFC 3986 §5.2, RFC 9110 §4.3.1).

/// A target on the origin of the request: its path, never empty, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Beginning with `/`.
    pub path: String,
    /// Without the `?`.
    pub query: Option<String>,
}

/// The request that a reference is relative to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the four parts that matter")]
pub struct Base<'u> {
    /// Unknown where the target is in origin form; then http and https are the same.
    pub scheme: Option<&'u str>,
    /// Host and port.
    pub authority: Option<&'u str>,
    /// The path.
    pub path: &'u str,
    /// The query.
    pub query: Option<&'u str>,
}

/// What a reference leads to, if that is on the same origin as `base`.
#[must_use]
pub fn same_origin(base: &Base<'_>, reference: &str) -> Option<Target> {
    let reference = reference.trim().split('#').next().unwrap_or_default();
    let (scheme, rest) = split_scheme(reference);
    if scheme.is_some_and(|scheme| !is_scheme_of(base, scheme)) {
        return None;
    }
    let rest = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            let own = base.authority?;
            let scheme = scheme.or(base.scheme);
            if normal(authority, scheme) != normal(own, scheme) {
                return None;
            }
            return Some(target(rest, "/"));
        }
        // `http:path` has no authority; nobody means it.
        None if scheme.is_some() => return None,
        None => rest,
    };
    if rest.is_empty() {
        let query = base.query.map(str::to_owned);
        return Some(Target { path: base.path.to_owned(), query });
    }
    Some(target(rest, base.path))
}

/// A relative part that begins with a path or a query, against the base's path.
fn target(rest: &str, base: &str) -> Target {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (rest, None),
    };
    let path = match path {
        "" => base.to_owned(),
        _ if path.starts_with('/') => without_dots(path),
        _ => {
            let directory = base.rfind('/').map_or("/", |at| base.get(..=at).unwrap_or("/"));
            without_dots(&format!("{directory}{path}"))
        }
    };
    Target { path, query }
}

fn split_scheme(reference: &str) -> (Option<&str>, &str) {
    match reference.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, reference),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_scheme_of(base: &Base<'_>, scheme: &str) -> bool {
    match base.scheme {
        Some(own) => own.eq_ignore_ascii_case(scheme),
        None => scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"),
    }
}

/// Lower case, without a port that the scheme implies.
fn normal(authority: &str, scheme: Option<&str>) -> String {
    let lower = authority.to_ascii_lowercase();
    let scheme = scheme.unwrap_or("http").to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    lower.strip_suffix(port).unwrap_or(&lower).to_owned()
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Base<'_> =
        Base { scheme: None, authority: Some("Example.org"), path: "/b/c/d", query: Some("q") };

    fn leads(base: &Base<'_>, reference: &str) -> Option<String> {
        same_origin(base, reference).map(|target| match target.query {
            Some(query) => format!("{}?{query}", target.path),
            None => target.path,
        })
    }

    #[test]
    fn relative_references_resolve() {
        for (reference, target) in [
            ("", "/b/c/d?q"),
            ("#f", "/b/c/d?q"),
            ("?y", "/b/c/d?y"),
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("g?y#s", "/b/c/g?y"),
            (".", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../../../g", "/g"),
            ("/a/./b/../c", "/a/c"),
            ("/x:y", "/x:y"),
            (" /g ", "/g"),
        ] {
            assert_eq!(leads(&BASE, reference).as_deref(), Some(target), "{reference:?}");
        }
    }

    #[test]
    fn absolute_references_count_on_the_same_origin_only() {
        for reference in ["http://example.org/x", "//EXAMPLE.org:80/x", "https://example.org/x"] {
            assert_eq!(leads(&BASE, reference).as_deref(), Some("/x"), "{reference}");
        }
        assert_eq!(leads(&BASE, "http://example.org").as_deref(), Some("/"));
        assert_eq!(leads(&BASE, "http://example.org?a").as_deref(), Some("/?a"));
        for reference in [
            "http://example.org:81/x",
            "http://evil.example/x",
            "http://example.org.evil/x",
            "http://user@example.org/x",
            "ftp://example.org/x",
            "http:/x",
            "mailto:a@example.org",
        ] {
            assert_eq!(leads(&BASE, reference), None, "{reference}");
        }
        let https = Base { scheme: Some("https"), ..BASE };
        assert_eq!(leads(&https, "http://example.org/x"), None);
        assert_eq!(leads(&https, "https://example.org:443/x").as_deref(), Some("/x"));
        assert_eq!(leads(&Base { authority: None, ..BASE }, "//example.org/x"), None);
    }
}
