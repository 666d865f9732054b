//! Who sits at this machine. The operating system has let them in already, so their word is taken
//! for who they are; whoever may open the database may say any name.

use genie_core::identity::ADMIN;
use genie_core::principal::Identity;

/// The tenant of everything that the command line does.
pub(crate) const TENANT: &str = "local";

/// Whoever asks: the user of the operating system.
pub(crate) fn asker() -> Identity {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Identity {
        tenant: TENANT.to_owned(),
        subject: user(),
        roles: set(&["user"]),
        scopes: set(&[genie_agents::finance::SCOPE, genie_agents::demo::SCOPE]),
        consents: set(&[genie_agents::finance::CONSENT]),
        ..Identity::default()
    }
}

/// An administrator: may make keys for others and ask, in this tenant; the user of the operating
/// system unless another name is given.
pub(crate) fn administrator(tenant: &str, name: Option<&str>) -> Identity {
    let mut own = asker();
    own.roles.insert(ADMIN.to_owned());
    let subject = name.map_or(own.subject, str::to_owned);
    Identity { tenant: tenant.to_owned(), subject, ..own }
}

/// Whoever decides: the user of the operating system, or the person that they name.
pub(crate) fn decider(name: Option<&str>, role: &str) -> Identity {
    Identity {
        tenant: TENANT.to_owned(),
        subject: name.map_or_else(user, str::to_owned),
        roles: [role.to_owned()].into(),
        ..Identity::default()
    }
}

/// The user's name; `operator` where the environment does not tell.
fn user() -> String {
    let names = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(std::env::var_os);
    let mut names = names.filter_map(|name| name.into_string().ok());
    names.find(|name| !name.trim().is_empty()).unwrap_or_else(|| "operator".to_owned())
}
