//! Clients that are broken or mean harm: each gets its error or its end, and nobody else notices.

mod bytes;
mod crowds;
mod mutations;
