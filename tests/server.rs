//! The control server, from outside.

mod authorization;
mod claim_secrets;
mod descriptors;
mod exposure;
mod hostile;
mod http;
mod lanrage;
mod operators;
mod restart;
mod smoke;
mod ws;
