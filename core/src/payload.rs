//! What a message carries: JSON text, made from and read into typed payloads.
//!
//! A [`Payload`] type names its kind and derives its JSON Schema, so that one declaration serves
//! the sender, the receiver, the schema policy and the documentation.

use std::any::TypeId;
use std::cell::RefCell;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A typed message payload.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message payload",
    note = "derive `Serialize`, `Deserialize` and `JsonSchema` for it and add \
            `impl Payload for {Self} {{ const KIND: &'static str = \"area.name\"; }}`"
)]
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The message kind, dotted lower case, e.g. `analysis.result`.
    const KIND: &'static str;
}

/// Why a payload could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The value has no JSON form (e.g. a map with keys that are not strings).
    #[error("the payload of kind `{kind}` has no JSON form: {reason}")]
    Unserialisable {
        /// The kind that was to be sent.
        kind: String,
        /// What the serialiser said.
        reason: String,
    },
    /// The text is not the JSON that was expected.
    #[error("the payload is not a valid `{kind}`: {reason}")]
    Mismatch {
        /// The kind that was expected.
        kind: String,
        /// What the deserialiser said.
        reason: String,
    },
}

thread_local! {
    /// Payloads are written here first, so that each text is made once, in its own size.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Largest buffer that a thread keeps between payloads.
const TEXT_KEPT_BYTES: usize = 1 << 18;

/// The JSON text of a payload, shared and immutable.
#[derive(Debug, Clone)]
pub struct Body {
    /// JSON on one line: every constructor has made or checked it.
    text: Arc<str>,
    /// The type that wrote the text, if one did: such a text follows that type's schema already.
    written_by: Option<TypeId>,
}

impl Body {
    /// Writes a typed payload.
    pub fn of<T: Payload>(payload: &T) -> Result<Self, Error> {
        let unserialisable =
            |reason: String| Error::Unserialisable { kind: T::KIND.into(), reason };
        let mut buffer = TEXT.take();
        buffer.clear();
        serde_json::to_writer(&mut buffer, payload)
            .map_err(|error| unserialisable(error.to_string()))?;
        let text = str::from_utf8(&buffer).map_err(|error| unserialisable(error.to_string()))?;
        let written_by = Some(TypeId::of::<T>());
        // A serialiser writes no line breaks, but raw JSON inside the value keeps its own. One byte
        // is searched for at a time: that is done many bytes at a time.
        let body = if buffer.contains(&b'\n') || buffer.contains(&b'\r') {
            Self { written_by, ..Self::from_text(T::KIND, text)? }
        } else {
            Self { text: text.into(), written_by }
        };
        if buffer.capacity() <= TEXT_KEPT_BYTES {
            TEXT.set(buffer);
        }
        Ok(body)
    }

    /// Takes JSON text from outside, and writes it anew: on one line, with each key once, so that
    /// whoever reads it, policy, handler or journal, reads the same.
    pub fn from_text(kind: &str, text: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(text)
            .map_err(|error| Error::Mismatch { kind: kind.into(), reason: error.to_string() })?;
        Self::from_value(kind, &value)
    }

    /// Nothing, in the place of what must not be kept.
    pub(crate) fn null() -> Self {
        Self { text: "null".into(), written_by: None }
    }

    /// Text that was written by a body and kept.
    pub(crate) fn restored(text: Box<RawValue>) -> Self {
        Self { text: Box::<str>::from(text).into(), written_by: None }
    }

    /// Takes a JSON value.
    pub fn from_value(kind: &str, value: &serde_json::Value) -> Result<Self, Error> {
        serde_json::to_string(value)
            .map(|text| Self { text: text.into(), written_by: None })
            .map_err(|error| Error::Unserialisable { kind: kind.into(), reason: error.to_string() })
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether both are the very same text, shared and not only equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// Whether a value of the type with this id wrote the text.
    #[must_use]
    pub fn was_written_by(&self, writer: TypeId) -> bool {
        self.written_by == Some(writer)
    }

    /// Reads the text as `T`.
    pub fn decode<T: Payload>(&self) -> Result<T, Error> {
        serde_json::from_str(self.text())
            .map_err(|error| Error::Mismatch { kind: T::KIND.into(), reason: error.to_string() })
    }

    /// The text as a JSON value; `null` only if the text is `null`.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        // Every constructor has checked or made the text, so this cannot fail.
        serde_json::from_str(self.text()).unwrap_or(serde_json::Value::Null)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::null()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Wrapped {
        #[schemars(with = "serde_json::Value")]
        inner: Box<RawValue>,
    }

    impl Payload for Wrapped {
        const KIND: &'static str = "wrapped";
    }

    #[test]
    fn raw_json_within_a_payload_takes_no_second_line() {
        let inner = RawValue::from_string("{\n \"a\": [1,\r\n 2]}".to_owned()).unwrap();
        let body = Body::of(&Wrapped { inner }).unwrap();
        assert_eq!(body.text(), r#"{"inner":{"a":[1,2]}}"#);
        assert!(body.was_written_by(TypeId::of::<Wrapped>()));
    }

    #[test]
    fn text_from_outside_is_written_anew() {
        let check = |text: &str, expected: Option<&str>| {
            let body = Body::from_text("k", text).ok();
            assert_eq!(body.as_ref().map(Body::text), expected, "{text}");
        };
        check(" { \"a\" : 1 }\n", Some(r#"{"a":1}"#));
        check(r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#));
        check(r#""\u0041\n""#, Some(r#""A\n""#));
        check("18446744073709551615", Some("18446744073709551615"));
        check("{} {}", None);
        check("", None);
        check("NaN", None);
        check(&"[".repeat(100_000), None);
    }
}
