//! Limits: each one just met, just exceeded, and the state after that.

mod connections;
mod descriptors;
mod frames;
mod in_flight;
mod pending;
mod registry;
mod replies;
mod roles;
