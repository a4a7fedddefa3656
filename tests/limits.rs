//! What is put up with: each limit just met, just passed, and what it is like after.

mod connections;
mod descriptors;
mod frames;
mod in_flight;
mod pending;
mod registry;
mod replies;
mod roles;
