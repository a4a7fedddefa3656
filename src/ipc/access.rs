//! Who may do what, from who they are.

use lanrage_ipc::results::Role;

use crate::config;
use crate::core::User;
use crate::os;

/// The rule that gives a user a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A user's own daemon: theirs alone.
    Own(User),
    /// The system's daemon: the superuser is its admin, some operate it, all may look.
    System {
        /// Users who operate it, by uid.
        operators: Vec<u32>,
        /// Members of this group operate it too.
        group: String,
    },
}

const SUPERUSER: User = User(0);

impl Access {
    /// As configured: of the system's program, or of a user's own.
    pub fn of(configured: &config::Access, system: bool, user: User) -> Self {
        match system {
            true => Self::System {
                operators: configured.operators.clone(),
                group: configured.group.clone(),
            },
            false => Self::Own(user),
        }
    }

    /// The role of a user; `None` when they may not even connect. May ask the system's user
    /// database, and so block.
    pub fn role(&self, user: User) -> Option<Role> {
        match self {
            Self::Own(owner) => (user == *owner || user == SUPERUSER).then_some(Role::Admin),
            Self::System { .. } if user == SUPERUSER => Some(Role::Admin),
            Self::System { operators, group } => {
                let operates = operators.contains(&user.0) || os::in_group(user, group);
                Some(if operates { Role::Operator } else { Role::Observer })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_daemon_serves_them_and_the_superuser_alone() {
        let access = Access::Own(User(1000));
        assert_eq!(access.role(User(1000)), Some(Role::Admin));
        assert_eq!(access.role(User(0)), Some(Role::Admin));
        assert_eq!(access.role(User(1001)), None);
    }

    #[test]
    fn the_systems_daemon_serves_all_by_role() {
        let access = Access::System { operators: vec![1000], group: "no-such-group".into() };
        assert_eq!(access.role(User(0)), Some(Role::Admin));
        assert_eq!(access.role(User(1000)), Some(Role::Operator));
        assert_eq!(access.role(User(1001)), Some(Role::Observer));
    }
}
