//! Where each setting comes from: the defaults, then a file, then the environment; the later wins.
//!
//! The variable of a setting is `GENIE_` and its key in capitals, with `_` for the dot of a table:
//! `limits.hops_max` is `GENIE_LIMITS_HOPS_MAX`.

use std::fmt;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::REFERENCE;

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key, with that of its table and a dot before it.
    pub key: String,
    /// Its value as given, except that a URL has no password.
    pub value: Value,
    /// Who says so.
    pub source: Source,
}

impl Setting {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("GENIE_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// Who says what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The defaults.
    Default,
    /// A file.
    File {
        /// Its path as given.
        path: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{path}:{line}"),
            Self::Environment(variable) => formatter.write_str(variable),
            Self::Option(option) => formatter.write_str(option),
        }
    }
}

/// Every setting with its default, in the order of the reference.
pub(super) fn defaults() -> Vec<Setting> {
    let Ok(table) = DeTable::parse(REFERENCE) else { return Vec::new() };
    let mut settings: Vec<(usize, Setting)> = Vec::new();
    walk(table.get_ref(), "", &mut |key, value, at| {
        settings.push((at, Setting { key, value, source: Source::Default }));
    });
    settings.sort_by_key(|(at, _)| *at);
    settings.into_iter().map(|(_, setting)| setting).collect()
}

/// Lays the settings of a file, which is known to be sound, over those so far.
pub(super) fn lay_file(settings: &mut [Setting], path: &str, text: &str) {
    let Ok(table) = DeTable::parse(text) else { return };
    walk(table.get_ref(), "", &mut |key, value, at| {
        if let Some(setting) = settings.iter_mut().find(|setting| setting.key == key) {
            setting.value = value;
            setting.source = Source::File { path: path.to_owned(), line: super::line_of(text, at) };
        }
    });
}

/// Calls `each` with every key, value and offset that are not tables.
fn walk(table: &DeTable<'_>, before: &str, each: &mut impl FnMut(String, Value, usize)) {
    for (key, value) in table {
        let name = format!("{before}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => walk(inner, &format!("{name}."), each),
            other => each(name, plain(other), key.span().start),
        }
    }
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| plain(item.get_ref())).collect())
        }
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::String(number.to_string()), Value::Float)
        }
        // No setting has tables in a list.
        DeValue::Table(_) => Value::Table(Table::new()),
    }
}

/// What a variable says, as a value of the kind that the setting has. Text that is no such value
/// stays text, so that whoever reads the setting can say what is wrong with it.
pub(super) fn read(setting: &Setting, text: &str) -> Value {
    let as_written = || text.trim().parse::<Value>().ok();
    match &setting.value {
        Value::String(_) => None,
        Value::Array(_) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => as_written(),
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A file that sets this one key.
pub(super) fn alone(key: &str, value: Value) -> Table {
    let (name, table) = match key.split_once('.') {
        Some((table, name)) => (name, Some(table)),
        None => (key, None),
    };
    let inner = Table::from_iter([(name.to_owned(), value)]);
    match table {
        Some(table) => Table::from_iter([(table.to_owned(), Value::Table(inner))]),
        None => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_the_name_of_its_setting() {
        let of = |key: &str| Setting { key: key.into(), value: 1.into(), source: Source::Default };
        assert_eq!(of("limits.hops_max").variable(), "GENIE_LIMITS_HOPS_MAX");
        assert_eq!(of("lease").variable(), "GENIE_LEASE");
        let mut names: Vec<_> = defaults().iter().map(Setting::variable).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "two settings have the same variable");
    }

    #[test]
    fn the_defaults_are_every_setting_in_the_order_of_the_reference() {
        let keys: Vec<_> = defaults().into_iter().map(|setting| setting.key).collect();
        assert_eq!((&*keys[0], &*keys[1]), ("policies", "storage"));
        assert!(keys.contains(&"limits.drain".to_owned()), "{keys:?}");
        let number = defaults().into_iter().find(|setting| setting.key == "journal_records_max");
        assert_eq!(number.unwrap().value, Value::Integer(1_000_000));
    }

    #[test]
    fn a_variable_is_read_as_what_its_setting_is() {
        let of = |value: Value| Setting { key: String::new(), value, source: Source::Default };
        let (text, number) = (of(Value::String(String::new())), of(Value::Integer(1)));
        let list = of(Value::Array(Vec::new()));
        assert_eq!(read(&text, "12"), Value::String("12".into()));
        assert_eq!(read(&number, " 1_024 "), Value::Integer(1_024));
        assert_eq!(read(&number, "many"), Value::String("many".into()));
        let both = Value::Array(vec!["a".into(), "b c".into()]);
        assert_eq!(read(&list, "a, b c"), both);
        assert_eq!(read(&list, r#"["a", "b c"]"#), both);
        assert_eq!(read(&list, ""), Value::Array(Vec::new()));
    }
}
