//! Checks a rule's condition before it is ever run: names, operators, functions, types.
//!
//! The payload has no type until a message arrives, so whatever comes out of it passes here; a
//! condition that then fails denies. Everything else is known, and wrong use of it is an error.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators,
};
use cel::{IdedExpr, Program};

use super::schema::{CLASSIFICATIONS, FUNCTIONS, MESSAGE, Type, nearest};

/// What is wrong with a condition, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// The node of the expression.
    pub(super) node: u64,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The names in scope, innermost last.
type Scope<'a> = Vec<(&'a str, Type)>;

/// Checks that the condition is sound and gives a boolean.
pub(super) fn check(program: &Program) -> Result<(), Fault> {
    let root = program.expression();
    let mut scope = vec![(MESSAGE.path, Type::Record(&MESSAGE))];
    match type_of(root, &mut scope)? {
        Type::Bool | Type::Any => Ok(()),
        other => Err(fault(
            root,
            format!("the condition is {}, not a boolean", other.name()),
            Some("compare it with something, e.g. `… == \"x\"` or `… > 0`".to_owned()),
        )),
    }
}

fn fault(at: &IdedExpr, message: String, hint: Option<String>) -> Fault {
    Fault { node: at.id, message, hint }
}

fn type_of<'a>(expr: &'a IdedExpr, scope: &mut Scope<'a>) -> Result<Type, Fault> {
    match &expr.expr {
        Expr::Ident(name) => ident(expr, name, scope),
        Expr::Select(select) => self::select(expr, select, scope),
        Expr::Call(call) => self::call(expr, call, scope),
        Expr::Literal(literal) => Ok(literal_type(literal)),
        Expr::List(list) => list_type(list, scope),
        Expr::Comprehension(comprehension) => self::comprehension(comprehension, scope),
        Expr::Map(map) => {
            for entry in &map.entries {
                let EntryExpr::MapEntry(entry) = &entry.expr else {
                    continue;
                };
                type_of(&entry.key, scope)?;
                type_of(&entry.value, scope)?;
            }
            Ok(Type::Map)
        }
        Expr::Struct(_) | Expr::Unspecified => {
            Err(fault(expr, "a rule cannot build objects".to_owned(), None))
        }
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Number,
    }
}

fn ident(expr: &IdedExpr, name: &str, scope: &Scope<'_>) -> Result<Type, Fault> {
    if let Some((_, known)) = scope.iter().rev().find(|(known, _)| *known == name) {
        return Ok(known.clone());
    }
    let hint = if MESSAGE.field(name).is_some() {
        format!("write `message.{name}`")
    } else {
        let names = scope.iter().map(|(known, _)| *known).filter(|known| !known.starts_with('@'));
        let near = nearest(name, names).unwrap_or(MESSAGE.path);
        format!("did you mean `{near}`? text goes in quotes")
    };
    Err(fault(expr, format!("unknown name `{name}`"), Some(hint)))
}

fn select<'a>(
    expr: &'a IdedExpr,
    select: &'a SelectExpr,
    scope: &mut Scope<'a>,
) -> Result<Type, Fault> {
    let found = member(expr, &type_of(&select.operand, scope)?, &select.field)?;
    Ok(if select.test { Type::Bool } else { found })
}

fn member(expr: &IdedExpr, of: &Type, field: &str) -> Result<Type, Fault> {
    match of {
        Type::Any | Type::Map => Ok(Type::Any),
        Type::Record(record) => record.field(field).ok_or_else(|| {
            let names = || record.fields.iter().map(|(name, _)| *name);
            let hint = match nearest(field, names()) {
                Some(near) => format!("did you mean `{}.{near}`?", record.path),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            fault(expr, format!("`{}` has no field `{field}`", record.path), Some(hint))
        }),
        other => Err(fault(expr, format!("{} has no fields, so no `{field}`", other.name()), None)),
    }
}

fn list_type<'a>(list: &'a ListExpr, scope: &mut Scope<'a>) -> Result<Type, Fault> {
    let mut element = None;
    for item in &list.elements {
        let next = type_of(item, scope)?;
        element = match element {
            None => Some(next),
            Some(one) if one == next => Some(one),
            Some(_) => Some(Type::Any),
        };
    }
    Ok(Type::List(Box::new(element.unwrap_or(Type::Any))))
}

fn comprehension<'a>(expr: &'a ComprehensionExpr, scope: &mut Scope<'a>) -> Result<Type, Fault> {
    let element = match type_of(&expr.iter_range, scope)? {
        Type::List(element) => *element,
        Type::Any => Type::Any,
        Type::Map => Type::Text,
        other => {
            let message = format!("{} is not a list", other.name());
            return Err(fault(&expr.iter_range, message, None));
        }
    };
    let start = type_of(&expr.accu_init, scope)?;
    let outer = scope.len();
    scope.push((&expr.iter_var, element));
    if let Some(second) = &expr.iter_var2 {
        scope.push((second, Type::Any));
    }
    scope.push((&expr.accu_var, start));
    let result = type_of(&expr.loop_cond, scope)
        .and_then(|_| type_of(&expr.loop_step, scope))
        .and_then(|_| type_of(&expr.result, scope));
    scope.truncate(outer);
    result
}

fn call<'a>(expr: &'a IdedExpr, call: &'a CallExpr, scope: &mut Scope<'a>) -> Result<Type, Fault> {
    let mut types = Vec::with_capacity(call.args.len() + 1);
    let mut operands: Vec<&IdedExpr> = Vec::with_capacity(call.args.len() + 1);
    for operand in call.target.as_deref().into_iter().chain(&call.args) {
        types.push(type_of(operand, scope)?);
        operands.push(operand);
    }
    match (call.func_name.as_str(), types.as_slice()) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, all) => {
            let odd = all.iter().position(|one| !one.meets(&Type::Bool));
            odd.map_or(Ok(Type::Bool), |index| {
                Err(needs(operands[index], &call.func_name, "booleans", &all[index]))
            })
        }
        (operators::NOT_STRICTLY_FALSE, _) => Ok(Type::Bool),
        (operators::CONDITIONAL, [condition, yes, no]) => {
            if !condition.meets(&Type::Bool) {
                return Err(needs(operands[0], &call.func_name, "a boolean first", condition));
            }
            Ok(if yes == no { yes.clone() } else { Type::Any })
        }
        (operators::EQUALS | operators::NOT_EQUALS | operators::IN, [one, two]) => {
            equality(expr, call, (one, two), &operands)
        }
        (
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [one, two],
        ) => order(expr, call, one, two),
        (operators::INDEX, [of, key]) => index(expr, of, key, operands[1]),
        (
            operators::ADD
            | operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::NEGATE,
            all,
        ) => arithmetic(expr, call, all),
        (name, all) => function(expr, name, all, &operands),
    }
}

/// Operators as a rule writes them.
fn symbol(func_name: &str) -> &str {
    match func_name {
        operators::IN => "in",
        operators::CONDITIONAL => "?:",
        name => name.trim_matches('_'),
    }
}

fn needs(at: &IdedExpr, operator: &str, what: &str, got: &Type) -> Fault {
    fault(at, format!("`{}` needs {what}, and this is {}", symbol(operator), got.name()), None)
}

fn equality(
    expr: &IdedExpr,
    call: &CallExpr,
    (one, two): (&Type, &Type),
    operands: &[&IdedExpr],
) -> Result<Type, Fault> {
    let within = call.func_name == operators::IN;
    let element = match (within, two) {
        (true, Type::List(element)) => element,
        (true, Type::Any | Type::Map) => return Ok(Type::Bool),
        (true, other) => {
            return Err(needs(operands[1], &call.func_name, "a list behind it", other));
        }
        (false, other) => other,
    };
    if !one.meets(element) && *one != Type::Null && *element != Type::Null {
        let message = format!("{} can never equal {}", one.name(), element.name());
        return Err(fault(expr, message, None));
    }
    let against = match (one, element) {
        (Type::Classification, _) => operands[1],
        (_, Type::Classification) => operands[0],
        _ => return Ok(Type::Bool),
    };
    known_classifications(against)?;
    Ok(Type::Bool)
}

/// A classification may be compared with the four words only; any other would never match.
fn known_classifications(expr: &IdedExpr) -> Result<(), Fault> {
    match &expr.expr {
        Expr::List(list) => list.elements.iter().try_for_each(known_classifications),
        Expr::Literal(LiteralValue::String(word)) if !CLASSIFICATIONS.contains(&word.inner()) => {
            let near = nearest(word.inner(), CLASSIFICATIONS.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", CLASSIFICATIONS.join(", ")),
            };
            let message = format!("no classification is called `{}`", word.inner());
            Err(fault(expr, message, Some(hint)))
        }
        _ => Ok(()),
    }
}

fn order(expr: &IdedExpr, call: &CallExpr, one: &Type, two: &Type) -> Result<Type, Fault> {
    let ordered = |given: &Type| matches!(given, Type::Any | Type::Number | Type::Text);
    if *one == Type::Classification || *two == Type::Classification {
        let hint =
            "list them: `message.label.classification in [\"confidential\", \"restricted\"]`";
        let message = format!("`{}` would order classifications as text", symbol(&call.func_name));
        return Err(fault(expr, message, Some(hint.to_owned())));
    }
    if ordered(one) && ordered(two) && one.meets(two) {
        return Ok(Type::Bool);
    }
    let operator = symbol(&call.func_name);
    let message = format!("`{operator}` cannot compare {} with {}", one.name(), two.name());
    Err(fault(expr, message, None))
}

fn index(expr: &IdedExpr, of: &Type, key: &Type, at: &IdedExpr) -> Result<Type, Fault> {
    match (of, &at.expr) {
        (Type::Record(_), Expr::Literal(LiteralValue::String(name))) => {
            member(expr, of, name.inner())
        }
        (Type::Record(record), _) => {
            Err(fault(expr, format!("fields of `{}` are written with a dot", record.path), None))
        }
        (Type::List(element), _) if key.meets(&Type::Number) => Ok((**element).clone()),
        (Type::Any | Type::Map, _) => Ok(Type::Any),
        (other, _) => Err(fault(expr, format!("{} cannot be indexed so", other.name()), None)),
    }
}

fn arithmetic(expr: &IdedExpr, call: &CallExpr, types: &[Type]) -> Result<Type, Fault> {
    if types.iter().all(|one| one.meets(&Type::Number)) {
        return Ok(Type::Number);
    }
    let joins =
        call.func_name == operators::ADD && types.windows(2).all(|pair| pair[0].meets(&pair[1]));
    match types {
        [Type::Text, _] | [_, Type::Text] if joins => Ok(Type::Text),
        [Type::List(_), _] | [_, Type::List(_)] if joins => Ok(Type::List(Box::new(Type::Any))),
        _ => {
            let names: Vec<&str> = types.iter().map(Type::name).collect();
            let operator = symbol(&call.func_name);
            let message = format!("`{operator}` does not go with {}", names.join(" and "));
            Err(fault(expr, message, None))
        }
    }
}

fn function(
    expr: &IdedExpr,
    name: &str,
    types: &[Type],
    operands: &[&IdedExpr],
) -> Result<Type, Fault> {
    let text = |one: &Type| one.meets(&Type::Text);
    match (name, types) {
        ("size", [Type::Any | Type::Text | Type::List(_) | Type::Map | Type::Bytes]) => {
            Ok(Type::Number)
        }
        ("contains" | "startsWith" | "endsWith", [one, two]) if text(one) && text(two) => {
            Ok(Type::Bool)
        }
        ("matches", [one, two]) if text(one) && text(two) => {
            pattern(operands[1])?;
            Ok(Type::Bool)
        }
        ("int" | "double", [Type::Any | Type::Number | Type::Text]) => Ok(Type::Number),
        ("string", [Type::Any | Type::Number | Type::Text | Type::Bool | Type::Classification]) => {
            Ok(Type::Text)
        }
        (known, _) if FUNCTIONS.contains(&known) => {
            let names: Vec<&str> = types.iter().map(Type::name).collect();
            let message = format!("`{known}` does not take {}", names.join(" and "));
            Err(fault(expr, message, None))
        }
        (unknown, _) => {
            let hint = match nearest(unknown, FUNCTIONS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a rule may call {}", FUNCTIONS.join(", ")),
            };
            Err(fault(expr, format!("unknown function `{}`", symbol(unknown)), Some(hint)))
        }
    }
}

/// A pattern must be written out, so that it can be checked now.
fn pattern(expr: &IdedExpr) -> Result<(), Fault> {
    let Expr::Literal(LiteralValue::String(pattern)) = &expr.expr else {
        return Err(fault(expr, "`matches` needs a pattern in quotes".to_owned(), None));
    };
    regex::Regex::new(pattern.inner()).map(drop).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        fault(expr, format!("`{}` is not a pattern: {last}", pattern.inner()), None)
    })
}
