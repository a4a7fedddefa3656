//! Roles of the users.

use lanrage_ipc::results::Role;

use crate::core::User;
use crate::{config, os};

/// Rule that gives a user a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// A user's own daemon, for that user alone.
    Own(User),
    /// The system's daemon: the superuser is its admin, operators are listed, all others may
    /// observe.
    System {
        /// Uids of the operators.
        operators: Vec<u32>,
        /// Group whose members are operators, too.
        group: String,
    },
}

const SUPERUSER: User = User(0);

/// Warns about a group that does not exist, except for the default one of a user's own program.
/// Blocks, since it asks the system's user database.
pub(crate) fn warn_of_missing_group(configured: &config::Access, system: bool) {
    let group = &configured.group;
    if (system || group != config::DEFAULT_GROUP) && !os::has_group(group) {
        log::warn!(
            "access.group: there is no group {group:?}: create it, or correct the key; nobody \
             operates this program by that group"
        );
    }
}

impl Access {
    /// Returns the configured rule: of the system's program, or of a user's own.
    pub(crate) fn of(configured: &config::Access, system: bool, user: User) -> Self {
        match system {
            true => Self::System {
                operators: configured.operators.clone(),
                group: configured.group.clone(),
            },
            false => Self::Own(user),
        }
    }

    /// True for the system's daemon.
    pub(super) fn is_system(&self) -> bool {
        matches!(self, Self::System { .. })
    }

    /// Returns the group on which the user's role depends, if any.
    pub(super) fn deciding_group(&self, user: User) -> Option<&str> {
        match self {
            Self::System { operators, group }
                if user != SUPERUSER && !operators.contains(&user.0) =>
            {
                Some(group)
            }
            _ => None,
        }
    }

    /// Returns the role of a user; `None` if access is refused. `is_member` says if the user is in
    /// the deciding group.
    pub(super) fn role(&self, user: User, is_member: bool) -> Option<Role> {
        match self {
            Self::Own(owner) => (user == *owner || user == SUPERUSER).then_some(Role::Admin),
            Self::System { .. } if user == SUPERUSER => Some(Role::Admin),
            Self::System { operators, .. } => {
                let operates = operators.contains(&user.0) || is_member;
                Some(if operates { Role::Operator } else { Role::Observer })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_s_daemon_serves_that_user_and_the_superuser_only() {
        let access = Access::Own(User(1000));
        assert_eq!(access.role(User(1000), false), Some(Role::Admin));
        assert_eq!(access.role(User(0), false), Some(Role::Admin));
        assert_eq!(access.role(User(1001), false), None);
        assert_eq!(access.deciding_group(User(1001)), None);
    }

    #[test]
    fn system_daemon_serves_all_users_by_role() {
        let access = Access::System { operators: vec![1000], group: "players".into() };
        for (user, group, outside, inside) in [
            (0, None, Role::Admin, Role::Admin),
            (1000, None, Role::Operator, Role::Operator),
            (1001, Some("players"), Role::Observer, Role::Operator),
        ] {
            assert_eq!(access.deciding_group(User(user)), group);
            assert_eq!(access.role(User(user), false), Some(outside));
            assert_eq!(access.role(User(user), true), Some(inside));
        }
    }
}
