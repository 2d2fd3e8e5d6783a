//! Templates such as `user:{user_id}`: parsed once, expanded per request.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The longest value that a placeholder contributes to a *tag*, in characters.
pub const MAX_VALUE_CHARS: usize = 256;

/// A text with placeholders. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Placeholder(Box<str>),
}

/// What a placeholder without a value becomes: the `unknown_placeholder` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownPlaceholder {
    /// An error: nothing is stored.
    #[default]
    Reject,
    /// The placeholder's own text stays.
    Literal,
}

/// A text made from a template.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The length of each placeholder's value, in bytes and in order.
    pub lengths: Vec<usize>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// An unbalanced brace or an empty or malformed placeholder name, with its byte offset.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let fail = |offset, problem| TemplateError { template: text.to_owned(), offset, problem };
        if text.is_empty() {
            return Err(fail(0, Problem::Empty));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((offset, char)) = rest.next() {
            let doubled = rest.peek().is_some_and(|(_, next)| *next == char);
            match char {
                '{' | '}' if doubled => {
                    rest.next();
                    literal.push(char);
                }
                '}' => return Err(fail(offset, Problem::Unopened)),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some((_, '}')) => break,
                            Some((_, c)) if c.is_alphanumeric() || "_.-".contains(c) => {
                                name.push(c);
                            }
                            Some((at, '{')) => return Err(fail(at, Problem::Unclosed)),
                            Some((at, _)) => return Err(fail(at, Problem::Name)),
                            None => return Err(fail(offset, Problem::Unclosed)),
                        }
                    }
                    if name.is_empty() {
                        return Err(fail(offset, Problem::Name));
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                    }
                    pieces.push(Piece::Placeholder(name.into()));
                }
                _ => literal.push(char),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self { text: text.into(), pieces: pieces.into() })
    }

    /// The names of the placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(&**name),
            Piece::Literal(_) => None,
        })
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills in the values whole, for a key.
    ///
    /// # Errors
    ///
    /// The first placeholder without a value.
    pub fn expand<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Expanded, UnknownName> {
        self.fill(value, UnknownPlaceholder::Reject, usize::MAX)
    }

    /// Fills in the values for a tag, each cut at [`MAX_VALUE_CHARS`].
    ///
    /// # Errors
    ///
    /// The first placeholder without a value, where `unknown` says to reject it.
    pub fn expand_tag<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
        unknown: UnknownPlaceholder,
    ) -> Result<String, UnknownName> {
        self.fill(value, unknown, MAX_VALUE_CHARS).map(|expanded| expanded.text)
    }

    fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
        unknown: UnknownPlaceholder,
        max_chars: usize,
    ) -> Result<Expanded, UnknownName> {
        let mut text = String::with_capacity(self.text.len() + 16);
        let mut lengths = Vec::new();
        for piece in &*self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Placeholder(name) => {
                    let before = text.len();
                    match (value(name), unknown) {
                        (Some(value), _) => text.push_str(cut(&value, max_chars)),
                        (None, UnknownPlaceholder::Literal) => {
                            text.push('{');
                            text.push_str(name);
                            text.push('}');
                        }
                        (None, UnknownPlaceholder::Reject) => {
                            return Err(UnknownName {
                                name: name.to_string(),
                                template: self.text.to_string(),
                            });
                        }
                    }
                    lengths.push(text.len() - before);
                }
            }
        }
        Ok(Expanded { text, lengths })
    }
}

fn cut(value: &str, max_chars: usize) -> &str {
    match value.char_indices().nth(max_chars) {
        Some((end, _)) => value.get(..end).unwrap_or(value),
        None => value,
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {template:?}, byte {offset}: {problem}")]
pub struct TemplateError {
    template: String,
    offset: usize,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("a template must not be empty")]
    Empty,
    #[error("`{{` without `}}` (write `{{{{` for a brace)")]
    Unclosed,
    #[error("`}}` without `{{` (write `}}}}` for a brace)")]
    Unopened,
    #[error("a placeholder name has letters, digits, `_`, `.` and `-`")]
    Name,
}

/// A placeholder that nothing gives a value to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("placeholder {{{name}}} of {template:?} is unknown")]
#[non_exhaustive]
pub struct UnknownName {
    /// The placeholder's name.
    pub name: String,
    /// The template it stands in.
    pub template: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<Cow<'static, str>> {
        (name == "id").then_some(Cow::Borrowed("7"))
    }

    #[test]
    fn placeholders_are_filled_and_braces_escaped() {
        let template = Template::parse("u{{{id}}}:{id}").unwrap();
        assert_eq!(template.expand(value).unwrap().text, "u{7}:7");
        assert_eq!(template.expand(value).unwrap().lengths, [1, 1]);
    }

    #[test]
    fn errors_name_the_template_and_the_place() {
        for (text, offset) in
            [("", 0), ("a{", 1), ("a}", 1), ("{}", 0), ("{a b}", 2), ("{a{b}}", 2)]
        {
            let error = Template::parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error}");
            assert!(error.to_string().contains(&format!("{text:?}")));
        }
    }

    #[test]
    fn unknown_names_are_rejected_or_kept() {
        let template = Template::parse("a:{nope}").unwrap();
        assert_eq!(template.expand(value).unwrap_err().name, "nope");
        assert_eq!(template.expand_tag(value, UnknownPlaceholder::Literal).unwrap(), "a:{nope}");
    }

    #[test]
    fn tag_values_are_cut_at_256_characters_and_key_values_are_not() {
        let template = Template::parse("{id}").unwrap();
        let long = |_: &str| Some(Cow::Owned("é".repeat(300)));
        let tag = template.expand_tag(long, UnknownPlaceholder::Reject).unwrap();
        assert_eq!(tag.chars().count(), 256);
        assert_eq!(template.expand(long).unwrap().text.chars().count(), 300);
    }
}
