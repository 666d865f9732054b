//! A message's payload as a JSON value, for the policies that have to look inside.

use std::cell::RefCell;
use std::thread::LocalKey;

use genie_core::message::Message;
use genie_core::payload::Body;
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

/// The text that a thread has looked at last, with what it found there.
pub(crate) struct Last<T>(RefCell<Option<(Body, T)>>);

impl<T> Last<T> {
    /// Nothing was looked at yet.
    pub(crate) const fn none() -> Self {
        Self(RefCell::new(None))
    }
}

/// What `look` finds in a text, unless this thread has just looked at the very same one: a
/// publication gives every subscriber the same body.
pub(crate) fn last<T: Copy>(
    last: &'static LocalKey<Last<T>>,
    body: &Body,
    look: impl FnOnce(&str) -> T,
) -> T {
    let known = last.with(|last| match &*last.0.borrow() {
        Some((seen, found)) if seen.is_same(body) => Some(*found),
        _ => None,
    });
    if let Some(found) = known {
        return found;
    }
    let found = look(body.text());
    last.with(|last| last.0.replace(Some((body.clone(), found))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_shared_is_looked_at_once_and_an_equal_one_anew() {
        thread_local!(static LAST: Last<usize> = const { Last::none() });
        let looked = std::cell::Cell::new(0);
        let length = |body: &Body| {
            last(&LAST, body, |text| {
                looked.set(looked.get() + 1);
                text.len()
            })
        };
        let body = |text: &str| Body::from_text("k", text).unwrap();
        let (one, equal, other) = (body("[1]"), body("[1]"), body("[1,2]"));
        assert_eq!((length(&one), length(&one.clone()), looked.get()), (3, 3, 1));
        assert_eq!((length(&equal), looked.get()), (3, 2));
        assert_eq!((length(&other), length(&one), looked.get()), (5, 3, 4));
    }
}
