//! Default peer id and name.

use lanrage_ipc::model::{Name, PeerId};

use super::exit::Failure;
use crate::config::Environment;

/// Returns a stable peer id, from the login and host names.
pub(super) fn peer_id() -> Result<PeerId, Failure> {
    let parts = [login(&Environment::process()), host(&Environment::process())];
    let id = sanitized(&parts.into_iter().flatten().collect::<Vec<_>>().join("-"));
    id.parse().map_err(|_| {
        let message = "neither your login nor the host's name is known";
        Failure::usage(message, "name the peer: --peer-id ID")
    })
}

/// Returns the default peer name for an id: the id, up to the length limit of names.
pub(super) fn name(peer_id: &PeerId) -> Result<Name, Failure> {
    let name: String = peer_id.as_str().chars().take(100).collect();
    name.parse().map_err(|rule| Failure::usage(format!("--name: {rule}"), ""))
}

fn login(env: &Environment) -> Option<String> {
    #[cfg(unix)]
    if let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::geteuid()) {
        return Some(user.name);
    }
    text(env, &["USER", "USERNAME"])
}

fn host(env: &Environment) -> Option<String> {
    #[cfg(unix)]
    let told = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    #[cfg(not(unix))]
    let told = None;
    told.or_else(|| text(env, &["HOSTNAME", "COMPUTERNAME"]))
}

fn text(env: &Environment, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env.get(name)?.into_string().ok())
}

/// Returns the characters of a text that an id may have.
fn sanitized(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let replaced = text.trim().chars().map(|c| if allowed(c) { c } else { '-' });
    replaced.take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_id_is_derived_from_any_text() {
        for (text, id) in [
            ("ann-tower\n", "ann-tower"),
            ("DOMAIN\\ann lee-höst.local", "DOMAIN-ann-lee-h-st.local"),
            (&"x".repeat(200), &"x".repeat(128)),
        ] {
            assert_eq!(sanitized(text), id);
            assert!(id.parse::<PeerId>().is_ok(), "{id}");
        }
    }

    #[test]
    fn default_peer_id_and_name_come_from_login_and_host() {
        let id = peer_id().unwrap();
        assert_eq!(id, peer_id().unwrap());
        assert!(id.as_str().starts_with(&name(&id).unwrap().to_string()));
        assert_eq!(name(&"y".repeat(128).parse().unwrap()).unwrap().as_str(), "y".repeat(100));
    }
}
