//! A message of HTTP/1.1, byte by byte.

use std::io::{BufRead, Read};

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request or status line.
    pub(crate) line: String,
    /// Names in lower case with values, in order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The content, without its framing.
    pub(crate) body: Vec<u8>,
    /// The content ended where its framing says.
    pub(crate) whole: bool,
}

impl Message {
    /// A request with its content; nothing if the connection ends before its head does.
    pub(crate) fn request(from: &mut impl BufRead) -> Option<Self> {
        let mut message = Self::head(from)?;
        message.read(from, 0);
        Some(message)
    }

    /// A response, where the connection ends with it.
    pub(crate) fn response(from: &mut impl BufRead, to_head: bool) -> Option<Self> {
        let mut message = Self::head(from)?;
        let bodiless = to_head || matches!(message.status(), 204 | 304);
        message.read(from, if bodiless { 0 } else { u64::MAX });
        Some(message)
    }

    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The values of all lines with this name, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.fields.iter().filter(|(field, _)| field == name);
        lines.map(|(_, value)| value.as_slice()).collect()
    }

    /// The value of the only line with this name; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} stands there twice: {self:?}");
        values.first().map_or("", |value| std::str::from_utf8(value).unwrap())
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn head(from: &mut impl BufRead) -> Option<Self> {
        let mut message = Self { line: String::from_utf8(line(from)?).unwrap(), ..Self::default() };
        loop {
            let line = line(from)?;
            if line.is_empty() {
                return Some(message);
            }
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap();
            message.fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// Reads the content; `unframed` bytes at most where nothing says how long it is.
    fn read(&mut self, from: &mut impl BufRead, unframed: u64) {
        // A response to HEAD states a length, too.
        if unframed == 0 && self.line.starts_with("HTTP/") {
            self.whole = true;
        } else if self.field("transfer-encoding") == "chunked" {
            self.whole = self.read_chunks(from).is_some();
        } else if let Ok(length) = self.field("content-length").parse::<u64>() {
            let _ = from.take(length).read_to_end(&mut self.body);
            self.whole = self.body.len() as u64 == length;
        } else {
            self.whole = from.take(unframed).read_to_end(&mut self.body).is_ok();
        }
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> Option<()> {
        loop {
            let size = String::from_utf8(line(from)?).unwrap();
            let size = u64::from_str_radix(&size, 16).unwrap();
            let before = self.body.len() as u64;
            from.take(size).read_to_end(&mut self.body).ok()?;
            let end = line(from)?;
            assert!(end.is_empty(), "a chunk is longer than it says");
            if size == 0 {
                return (self.body.len() as u64 == before).then_some(());
            }
        }
    }
}

/// A line without its end; nothing if it has none.
fn line(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok()?;
    line.strip_suffix(b"\r\n").map(<[u8]>::to_vec)
}
