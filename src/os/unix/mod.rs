//! Unix.

mod descriptors;
mod files;
mod memory;
mod networks;
pub mod notify;
mod signals;
mod socket;
mod users;

pub use descriptors::raise_file_limit;
pub use files::FileId;
pub(super) use files::{describe, harden, link_owner, names, writers};
pub use memory::guard_memory;
pub use networks::networks;
pub use signals::Signals;
pub use socket::{LocalSocket, check_socket_path, close, inherited, is_own_directory, peer};
pub use users::{has_group, in_group, own_user};
