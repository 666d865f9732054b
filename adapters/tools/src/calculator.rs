//! The tool `calculator`: exact arithmetic on decimal numbers, without floats.
//!
//! Numbers are fractions of 128-bit integers; what does not fit is an error, never a wrong digit.

use genie_core::async_trait;
use genie_core::label::Classification;
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most parentheses and signs within each other.
const DEPTH_MAX: usize = 50;
/// Digits behind the point of a result that does not end.
const DIGITS: u32 = 12;

/// What to work out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {
    /// Decimal numbers, `+ - * /` and parentheses, such as `(1 + 0.5) * 3`.
    #[schemars(length(min = 1, max = 500))]
    expression: String,
}

/// Calculates.
#[derive(Debug, Clone, Copy)]
pub struct Calculator;

#[async_trait]
impl Tool for Calculator {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Sum>("calculator", "works out + - * / on decimal numbers, exactly")
            .effects(Effects::None)
            .cleared_for(Classification::Confidential)
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let Sum { expression } = attempt.read()?;
        let (result, exact) = evaluate(&expression).map_err(ToolError::Failed)?;
        Ok(json!({ "result": result, "exact": exact }))
    }
}

/// The value in decimal digits, and whether they are all of it.
fn evaluate(expression: &str) -> Result<(String, bool), String> {
    let mut reader = Reader { text: expression.as_bytes(), at: 0 };
    let value = reader.sum(0)?;
    match reader.peek() {
        None => value.decimal(),
        Some(byte) => Err(reader.unexpected(byte)),
    }
}

/// A fraction in lowest terms; the denominator is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    numerator: i128,
    denominator: i128,
}

fn too_large() -> String {
    "a number on the way has too many digits".to_owned()
}

impl Fraction {
    fn new(numerator: Option<i128>, denominator: Option<i128>) -> Result<Self, String> {
        let (numerator, denominator) = numerator.zip(denominator).ok_or_else(too_large)?;
        if denominator == 0 {
            return Err("division by zero".to_owned());
        }
        let (mut a, mut b) = (numerator.unsigned_abs(), denominator.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let shared = i128::try_from(a).map_err(|_| too_large())?;
        let sign = if denominator < 0 { -1 } else { 1 };
        let (numerator, denominator) = (numerator / shared, denominator / shared);
        let signed = numerator.checked_mul(sign).zip(denominator.checked_mul(sign));
        let (numerator, denominator) = signed.ok_or_else(too_large)?;
        Ok(Self { numerator, denominator })
    }

    fn plus(self, other: Self) -> Result<Self, String> {
        let left = self.numerator.checked_mul(other.denominator);
        let right = other.numerator.checked_mul(self.denominator);
        let sum = left.zip(right).and_then(|(left, right)| left.checked_add(right));
        Self::new(sum, self.denominator.checked_mul(other.denominator))
    }

    fn times(self, other: Self) -> Result<Self, String> {
        let numerator = self.numerator.checked_mul(other.numerator);
        Self::new(numerator, self.denominator.checked_mul(other.denominator))
    }

    fn negated(self) -> Result<Self, String> {
        Self::new(self.numerator.checked_neg(), Some(self.denominator))
    }

    fn inverted(self) -> Result<Self, String> {
        Self::new(Some(self.denominator), Some(self.numerator))
    }

    /// Decimal digits, and whether they are all; the last of others is rounded half away from zero.
    fn decimal(self) -> Result<(String, bool), String> {
        let whole = self.numerator.unsigned_abs() / self.denominator.unsigned_abs();
        let mut rest = self.numerator.unsigned_abs() % self.denominator.unsigned_abs();
        let scale = 10_u128.pow(DIGITS);
        let mut digits: u128 = 0;
        for _ in 0..DIGITS {
            rest = rest.checked_mul(10).ok_or_else(too_large)?;
            digits = digits * 10 + rest / self.denominator.unsigned_abs();
            rest %= self.denominator.unsigned_abs();
        }
        let up = rest >= self.denominator.unsigned_abs().div_ceil(2);
        let digits = digits + u128::from(rest != 0 && up);
        let (whole, digits) = (whole + digits / scale, digits % scale);
        let places = format!("{digits:0width$}", width = DIGITS as usize);
        let places = places.trim_end_matches('0');
        let sign = if self.numerator < 0 && (whole, digits) != (0, 0) { "-" } else { "" };
        let point = if places.is_empty() { "" } else { "." };
        Ok((format!("{sign}{whole}{point}{places}"), rest == 0))
    }
}

/// Reads an expression from left to right.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn unexpected(&self, byte: u8) -> String {
        let shown = if byte.is_ascii_graphic() { char::from(byte) } else { '?' };
        format!("`{shown}` at position {} makes no sense there", self.at + 1)
    }

    fn sum(&mut self, depth: usize) -> Result<Fraction, String> {
        let mut value = self.product(depth)?;
        while let Some(sign @ (b'+' | b'-')) = self.peek() {
            self.at += 1;
            let next = self.product(depth)?;
            value = value.plus(if sign == b'-' { next.negated()? } else { next })?;
        }
        Ok(value)
    }

    fn product(&mut self, depth: usize) -> Result<Fraction, String> {
        let mut value = self.factor(depth)?;
        while let Some(sign @ (b'*' | b'/')) = self.peek() {
            self.at += 1;
            let next = self.factor(depth)?;
            value = value.times(if sign == b'/' { next.inverted()? } else { next })?;
        }
        Ok(value)
    }

    fn factor(&mut self, depth: usize) -> Result<Fraction, String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} parentheses within each other"));
        }
        match self.peek() {
            Some(b'-') => {
                self.at += 1;
                self.factor(depth + 1)?.negated()
            }
            Some(b'(') => {
                self.at += 1;
                let value = self.sum(depth + 1)?;
                match self.peek() {
                    Some(b')') => self.at += 1,
                    Some(byte) => return Err(self.unexpected(byte)),
                    None => return Err("a `)` is missing".to_owned()),
                }
                Ok(value)
            }
            Some(b'0'..=b'9' | b'.') => self.number(),
            Some(byte) => Err(self.unexpected(byte)),
            None => Err("the expression ends too early".to_owned()),
        }
    }

    fn number(&mut self) -> Result<Fraction, String> {
        let (mut numerator, mut denominator) = (Some(0_i128), Some(1_i128));
        let (mut digits, mut has_point) = (0, false);
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'0'..=b'9' => {
                    let digit = i128::from(byte - b'0');
                    numerator =
                        numerator.and_then(|number| number.checked_mul(10)?.checked_add(digit));
                    if has_point {
                        denominator = denominator.and_then(|number| number.checked_mul(10));
                    }
                    digits += 1;
                }
                b'.' if !has_point => has_point = true,
                _ => break,
            }
            self.at += 1;
        }
        if digits == 0 {
            return Err(self.unexpected(b'.'));
        }
        Fraction::new(numerator, denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_out_decimals_exactly() {
        let check = |expression: &str, expected: &str, exact: bool| {
            assert_eq!(evaluate(expression), Ok((expected.to_owned(), exact)), "{expression}");
        };
        check("0.1 + 0.2", "0.3", true);
        check("2 + 3 * 4", "14", true);
        check("(2 + 3) * 4", "20", true);
        check("10 - 3 - 2", "5", true);
        check("12 / 3 / 2", "2", true);
        check("-3 * -(1 + 1)", "6", true);
        check("1 / 3", "0.333333333333", false);
        check("2 / 3", "0.666666666667", false);
        check("-2 / 3", "-0.666666666667", false);
        check("1 / 3 * 3", "1", true);
        check("0.0000000000004", "0", false);
        check("-0.0000000000004", "0", false);
        check("1 - 0.0000000000001", "1", false);
        check("99999999999999999999.99", "99999999999999999999.99", true);
    }

    #[test]
    fn what_makes_no_sense_or_does_not_fit_is_refused() {
        let check = |expression: &str, expected: &str| {
            let problem = evaluate(expression).unwrap_err();
            assert!(problem.contains(expected), "{expression}: {problem}");
        };
        check("", "too early");
        check("1 +", "too early");
        check("1 / 0", "division by zero");
        check("1 / (2 - 2)", "division by zero");
        check("(1", "missing");
        check("1)", "position 2");
        check("1..2", "position 3");
        check(".", "makes no sense");
        check("2 ** 3", "position 4");
        check("rm -rf", "position 1");
        check("१", "`?`");
        check(&format!("{}1{}", "(".repeat(60), ")".repeat(60)), "parentheses");
        check(&"-".repeat(400), "parentheses");
        check(&"9".repeat(40), "too many digits");
        check(&format!("{} * {0}", "9".repeat(30)), "too many digits");
    }
}
