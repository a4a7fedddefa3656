//! Users and their groups.

use std::ffi::CString;

use nix::unistd::{self, Group, Uid, geteuid, getgrouplist};

use crate::core::User;

/// Returns the user that the program runs as.
pub(crate) fn own_user() -> User {
    User(geteuid().as_raw())
}

/// True if there is a group of that name, or the system can't tell. Blocks, since it asks the
/// system's user database.
pub(crate) fn has_group(group: &str) -> bool {
    Group::from_name(group).map_or(true, |group| group.is_some())
}

/// True if a user is in a group. Blocks, since it asks the system's user database.
pub(crate) fn in_group(user: User, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    let Ok(Some(user)) = unistd::User::from_uid(Uid::from_raw(user.0)) else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group.gid))
}
