//! Unix.

mod descriptors;
mod files;
mod memory;
mod networks;
pub(crate) mod notify;
mod signals;
mod socket;
mod users;

pub(crate) use descriptors::raise_file_limit;
pub(crate) use files::FileId;
pub(super) use files::{describe, harden, link_owner, names, writers};
pub(crate) use memory::guard_memory;
pub(crate) use networks::networks;
pub(crate) use signals::Signals;
pub(crate) use socket::{LocalSocket, check_socket_path, close, inherited, is_own_directory, peer};
pub(crate) use users::{has_group, in_group, own_user};
