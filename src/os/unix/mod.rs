//! Unix.

pub mod notify;
mod signals;
mod socket;
mod users;

pub use signals::Signals;
pub use socket::{LocalSocket, close, fits_socket, inherited, is_own_directory, peer};
pub use users::{in_group, own_user};
