//! Keeps a credential to the tools, models and agents that it was made for.
//!
//! Tools and models are looked at on every hop, since whichever agent calls them does so on behalf
//! of whoever asked; agents only where somebody asks them. A request to call a tool is for the list
//! of tools: it is judged once the tool is called.

use std::collections::BTreeSet;

use genie_core::message::{Message, USER};
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};
use genie_core::tool;

/// What goes before a model's name in an address.
const MODEL: &str = "model:";

/// The policy `allow-lists`.
#[derive(Debug, Clone, Copy)]
pub struct AllowLists;

impl Policy for AllowLists {
    fn id(&self) -> &'static str {
        "allow-lists"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "The credential may use the tool, model or agent."
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let allowed = &message.principal().identity().allowed;
        if allowed.is_everything() {
            return Ok(Judgement::Allow);
        }
        let to = message.to();
        let is_asked = message.from() == USER && message.kind() != tool::REQUEST;
        let (list, what, name) = if let Some(name) = to.strip_prefix(tool::ADDRESS) {
            (&allowed.tools, "tool", name)
        } else if let Some(name) = to.strip_prefix(MODEL) {
            (&allowed.models, "model", name)
        } else if is_asked {
            (&allowed.agents, "agent", to)
        } else {
            return Ok(Judgement::Allow);
        };
        let is_listed = |list: &BTreeSet<String>| list.contains(name);
        if list.as_ref().is_none_or(is_listed) {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::deny(format!("the credential is not made for the {what} `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision::{self, Allow, Deny};

    use super::*;
    use crate::checks::testbed::Case;

    fn decision(list: Option<&[&str]>, (from, to, kind): (&str, &str, &str)) -> Decision {
        let mut case = Case::new();
        let list = || Some(list?.iter().map(|name| (*name).to_owned()).collect());
        let allowed = &mut case.specimen.principal.allowed;
        (allowed.tools, allowed.models, allowed.agents) = (list(), list(), list());
        (case.specimen.from, case.specimen.to) = (from.into(), to.into());
        case.specimen.kind = kind.into();
        case.decision(&AllowLists)
    }

    #[test]
    fn no_list_lets_all_through_and_an_empty_one_nothing() {
        let places = [("x", "tool:a", "tool.call"), ("x", "model:a", "m"), ("user", "a", "q")];
        for place in places {
            assert_eq!(decision(None, place), Allow, "{place:?}");
            assert_eq!(decision(Some(&["a"]), place), Allow, "{place:?}");
            assert_eq!(decision(Some(&["b", "A", "a "]), place), Deny, "{place:?}");
            assert_eq!(decision(Some(&[]), place), Deny, "{place:?}");
        }
    }

    #[test]
    fn whom_an_agent_asks_and_who_carries_a_call_are_not_looked_at() {
        assert_eq!(decision(Some(&[]), ("supervisor", "a", "q")), Allow);
        assert_eq!(decision(Some(&[]), ("user", "a", "tool.request")), Allow);
        assert_eq!(decision(Some(&[]), ("supervisor", "user", "answer")), Allow);
    }
}
