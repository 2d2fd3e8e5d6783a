//! Layout 1 of the head. Frozen: a change is a new layout in a new file, with a new codec byte.
//! Responses are only read in it, and written in layout 3.

use std::time::Duration;

use bincode::config::{self, Configuration, Limit};
use bincode::{Decode, Encode};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{DecodeError, MAX_HEAD};
use crate::clock::{from_unix_millis, unix_millis};
use crate::entry::times::millis;
use crate::entry::{Content, Life, StoredFields, StoredHead, ValueHead, packed};
use crate::key::Digest;
use crate::key::vary::{MAX_NOMINATED, MAX_VARIANTS, Presented, VariantRecord};

type Config = Configuration<config::LittleEndian, config::Varint, Limit<MAX_HEAD>>;

const CONFIG: Config = config::standard().with_limit::<MAX_HEAD>();

#[derive(Encode, Decode)]
enum Head {
    Response { status: u16, fields: Vec<Field>, life: Times, presented: Vec<Nominated> },
    Variants { names: Vec<String>, digests: Vec<[u8; 32]> },
    Value { codec: u8, life: Times },
}

#[derive(Encode, Decode)]
struct Field {
    name: String,
    value: Vec<u8>,
}

#[derive(Encode, Decode)]
struct Nominated {
    name: String,
    values: Vec<Vec<u8>>,
}

/// All in milliseconds; `stored_at` since 1970.
#[derive(Encode, Decode)]
struct Times {
    stored_at: u64,
    initial_age: u64,
    fresh_for: u64,
    stale_while_revalidate: u64,
    stale_if_error: u64,
}

/// Writes a record of nominated fields. What is over the limit comes back as more than `MAX_HEAD`
/// bytes.
pub(super) fn encode_variants(record: &VariantRecord) -> Vec<u8> {
    encode(Head::Variants {
        names: record.names().iter().map(|name| name.as_str().to_owned()).collect(),
        digests: record.digests().iter().map(|digest| *digest.as_bytes()).collect(),
    })
}

/// Writes the head of a function's result.
pub(super) fn encode_value(value: &ValueHead) -> Vec<u8> {
    encode(Head::Value { codec: value.codec, life: write_life(&value.life()) })
}

fn encode(head: Head) -> Vec<u8> {
    // Writing into a vector can only fail by the limit.
    bincode::encode_to_vec(head, CONFIG).unwrap_or_else(|_| vec![0; MAX_HEAD + 1])
}

/// Reads a head; everything in it is checked.
pub(super) fn decode(bytes: &[u8]) -> Result<Content, DecodeError> {
    let (head, read) = bincode::decode_from_slice::<Head, Config>(bytes, CONFIG)
        .map_err(|_| DecodeError::Malformed("bincode"))?;
    if read != bytes.len() {
        return Err(DecodeError::Malformed("trailing bytes"));
    }
    match head {
        Head::Response { status, fields, life, presented } => {
            let (status, fields) = (read_status(status)?, read_fields(fields)?);
            let presented = read_presented(presented)?;
            Ok(Content::Response(StoredHead::packed(status, fields, read_life(&life), presented)))
        }
        Head::Variants { names, digests } => {
            if names.len() > MAX_NOMINATED || digests.len() > MAX_VARIANTS {
                return Err(DecodeError::Malformed("too many variants"));
            }
            let names = names.iter().map(|name| read_name(name)).collect::<Result<_, _>>()?;
            let digests = digests.into_iter().map(Digest::from_bytes).collect();
            Ok(Content::Variants(VariantRecord::from_parts(names, digests)))
        }
        Head::Value { codec, life } => Ok(Content::Value(ValueHead::new(codec, read_life(&life)))),
    }
}

pub(super) fn read_status(status: u16) -> Result<StatusCode, DecodeError> {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) => {
            Err(DecodeError::Malformed("status"))
        }
        Ok(status) if !status.is_informational() => Ok(status),
        _ => Err(DecodeError::Malformed("status")),
    }
}

fn read_fields(fields: Vec<Field>) -> Result<StoredFields, DecodeError> {
    if fields.len() > packed::MOST_LINES {
        return Err(DecodeError::Malformed("too many fields"));
    }
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let value = read_value(field.value)?;
        headers
            .try_append(read_name(&field.name)?, value)
            .map_err(|_| DecodeError::Malformed("too many fields"))?;
    }
    StoredFields::read(packed::pack(&headers).into()).map_err(DecodeError::Malformed)
}

fn read_presented(nominated: Vec<Nominated>) -> Result<Presented, DecodeError> {
    if nominated.len() > MAX_NOMINATED {
        return Err(DecodeError::Malformed("too many nominated fields"));
    }
    let read = |field: Nominated| {
        let values = field.values.into_iter().map(Bytes::from).collect();
        Ok((read_name(&field.name)?, values))
    };
    nominated.into_iter().map(read).collect::<Result<_, _>>().map(Presented::from_lines)
}

pub(super) fn read_name(name: &str) -> Result<HeaderName, DecodeError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| DecodeError::Malformed("field name"))
}

/// `HeaderValue` refuses CR, LF, NUL and other controls.
fn read_value(value: Vec<u8>) -> Result<HeaderValue, DecodeError> {
    HeaderValue::from_maybe_shared(Bytes::from(value))
        .map_err(|_| DecodeError::Malformed("field value"))
}

fn write_life(life: &Life) -> Times {
    Times {
        stored_at: unix_millis(life.stored_at),
        initial_age: millis(life.initial_age),
        fresh_for: millis(life.fresh_for),
        stale_while_revalidate: millis(life.stale_while_revalidate),
        stale_if_error: millis(life.stale_if_error),
    }
}

fn read_life(times: &Times) -> Life {
    Life {
        stored_at: from_unix_millis(times.stored_at),
        initial_age: Duration::from_millis(times.initial_age),
        fresh_for: Duration::from_millis(times.fresh_for),
        stale_while_revalidate: Duration::from_millis(times.stale_while_revalidate),
        stale_if_error: Duration::from_millis(times.stale_if_error),
        must_validate: false,
    }
}
