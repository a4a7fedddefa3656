//! LANrage's own clients.
