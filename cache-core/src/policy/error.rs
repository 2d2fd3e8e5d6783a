//! A setting that cannot be.

/// Why a policy cannot be built: which setting, which value, what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy field `{field}`: {value:?} {problem}")]
pub struct PolicyError {
    field: &'static str,
    value: String,
    problem: String,
}

impl PolicyError {
    pub(crate) fn new(
        field: &'static str,
        value: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self { field, value: value.into(), problem: problem.into() }
    }

    /// The setting's name.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value as it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl From<std::convert::Infallible> for PolicyError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
