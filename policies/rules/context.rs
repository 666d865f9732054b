//! A message as the one variable of a condition.
//!
//! Turning a message into a value costs more than most conditions, so each thread keeps the last
//! one: all rules that concern a message share one conversion, and a message that no rule concerns
//! has none.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::Key;
use cel::{Context, Env, Value};
use genie_core::label::Label;
use genie_core::message::Message;
use genie_core::policy::PolicyError;
use genie_core::principal::Principal;

use crate::payload;

use super::schema::MESSAGE;

/// What a condition can see of a message.
const FIELDS: [&str; 8] = ["kind", "from", "to", "payload", "label", "principal", "bytes", "hops"];

/// Which of [`FIELDS`] a condition names, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    /// What this condition may look at. A field that it does not name is left out, so that a
    /// condition which gets at it in some other way fails, and denies.
    pub(super) fn of(condition: &str) -> Self {
        let named = FIELDS.iter().enumerate().filter(|(_, field)| condition.contains(**field));
        Self(named.fold(0, |bits, (at, _)| bits | 1 << at))
    }

    fn covers(self, other: Self) -> bool {
        self.and(other) == self
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn fields(self) -> impl Iterator<Item = &'static str> {
        FIELDS
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 >> at & 1 == 1)
            .map(|(_, field)| field)
    }
}

struct Converted {
    parts: Parts,
    /// Kept, so that the addresses that identify it cannot be used again meanwhile.
    message: Message,
    context: Context<'static, 'static>,
}

thread_local! {
    static LAST: RefCell<Option<Converted>> = const { RefCell::new(None) };
}

/// Runs `evaluate` with `message` converted, these parts at least: mostly once per message and
/// thread.
pub(super) fn with<T>(
    message: &Message,
    parts: Parts,
    env: &Arc<Env>,
    evaluate: impl FnOnce(&Context<'static, 'static>) -> T,
) -> Result<T, PolicyError> {
    let last = LAST.with(RefCell::take).filter(|last| is_same(&last.message, message));
    let converted = match last {
        Some(last) if last.parts.covers(parts) => last,
        Some(last) => convert(message, last.parts.and(parts), env)?,
        None => convert(message, parts, env)?,
    };
    let outcome = evaluate(&converted.context);
    LAST.with(|last| *last.borrow_mut() = Some(converted));
    Ok(outcome)
}

fn convert(message: &Message, parts: Parts, env: &Arc<Env>) -> Result<Converted, PolicyError> {
    let mut context = Context::with_env(env.clone());
    context.add_variable_from_value(MESSAGE.path, value(message, parts)?);
    Ok(Converted { parts, message: message.clone(), context })
}

/// Whether two messages are one: they share every part that a condition can see.
fn is_same(one: &Message, two: &Message) -> bool {
    std::ptr::eq(one.kind(), two.kind())
        && std::ptr::eq(one.from(), two.from())
        && std::ptr::eq(one.to(), two.to())
        && std::ptr::eq(one.payload().text(), two.payload().text())
        && std::ptr::eq(one.label(), two.label())
        && std::ptr::eq(one.principal().identity(), two.principal().identity())
        && one.hops() == two.hops()
}

fn value(message: &Message, parts: Parts) -> Result<Value, PolicyError> {
    let mut fields = HashMap::with_capacity(FIELDS.len());
    for field in parts.fields() {
        fields.insert(Key::from(field), part(message, field)?);
    }
    Ok(Value::from(fields))
}

fn part(message: &Message, field: &str) -> Result<Value, PolicyError> {
    let count = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    Ok(match field {
        "kind" => message.kind().into(),
        "from" => message.from().into(),
        "to" => message.to().into(),
        "payload" => json(payload::value(message)?),
        "label" => label(message.label()),
        "principal" => principal(message.principal()),
        "bytes" => count(message.payload().text().len()),
        _ => Value::Int(i64::from(message.hops())),
    })
}

fn label(label: &Label) -> Value {
    map([
        ("classification", label.classification.as_str().into()),
        ("categories", texts(&label.categories)),
        ("regions", texts(&label.regions)),
    ])
}

fn principal(principal: &Principal) -> Value {
    let identity = principal.identity();
    map([
        ("tenant", identity.tenant.as_str().into()),
        ("subject", identity.subject.as_str().into()),
        ("roles", texts(&identity.roles)),
        ("scopes", texts(&identity.scopes)),
        ("consents", texts(&identity.consents)),
    ])
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let entries = fields.into_iter().map(|(name, value)| (Key::from(name), value));
    Value::from(entries.collect::<HashMap<Key, Value>>())
}

fn texts<'a>(items: impl IntoIterator<Item = &'a String>) -> Value {
    Value::from(items.into_iter().map(|item| Value::from(item.as_str())).collect::<Vec<_>>())
}

/// JSON as CEL sees it: whole numbers are `int`, so that rules can count and compare with plain
/// literals; those beyond 64 bits are `double`.
fn json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => {
            Value::from(items.into_iter().map(json).collect::<Vec<_>>())
        }
        serde_json::Value::Object(fields) => {
            let entries = fields.into_iter().map(|(name, field)| (Key::from(name), json(field)));
            Value::from(entries.collect::<HashMap<Key, Value>>())
        }
    }
}
