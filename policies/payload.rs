//! A message's payload as a JSON value, for the policies that have to look inside.

use genie_core::message::Message;
use genie_core::policy::PolicyError;
use serde_json::Value;

/// The payload of `message`.
///
/// # Errors
/// If the text cannot be read as a value, as when it nests deeper than the reader goes (128
/// levels): what a policy cannot see, it must not let pass.
pub(crate) fn value(message: &Message) -> Result<Value, PolicyError> {
    let value = message.payload().value();
    if value.is_null() && message.payload().text().trim() != "null" {
        return Err(PolicyError("the payload is nested too deeply to be read".to_owned()));
    }
    Ok(value)
}

/// Whether the JSON `text` has a `\uXXXX` escape, which can spell anything.
pub(crate) fn has_unicode_escape(text: &str) -> bool {
    text.as_bytes().contains(&b'\\') && text.contains("\\u")
}
