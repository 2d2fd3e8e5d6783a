//! How function results become bytes.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest encoded result that is read, in bytes: what a store may hold is trusted no further.
const MAX_VALUE: usize = 64 << 20;

/// How function results become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// bincode 2: compact. It may read the bytes of a changed type without noticing: raise
    /// [`Function::with_version`](super::Function::with_version) when a type changes.
    #[default]
    Binary,
    /// JSON: larger, readable in the store, tolerant of added fields.
    Json,
}

impl Codec {
    /// The number under which the codec is stored.
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::Binary => 1,
            Self::Json => 2,
        }
    }

    /// `None` if the value has no such form.
    pub(crate) fn encode<T: Serialize>(self, value: &T) -> Option<Bytes> {
        let bytes = match self {
            Self::Binary => bincode::serde::encode_to_vec(value, bincode::config::standard()).ok(),
            Self::Json => serde_json::to_vec(value).ok(),
        };
        bytes.map(Bytes::from)
    }

    /// `None` if the bytes are no such value, or more than one.
    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Option<T> {
        match self {
            Self::Binary => {
                let limited = bincode::config::standard().with_limit::<MAX_VALUE>();
                let (value, read) = bincode::serde::decode_from_slice(bytes, limited).ok()?;
                (read == bytes.len()).then_some(value)
            }
            Self::Json => serde_json::from_slice(bytes).ok(),
        }
    }
}
