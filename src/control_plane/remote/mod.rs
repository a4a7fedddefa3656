//! The control plane that asks a server: what it confirms is done here too, and what it can't be
//! asked now it is told later.

pub mod transport;
