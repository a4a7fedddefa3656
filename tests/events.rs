//! Subscriptions: snapshots, events in order, resets for slow subscribers, and the goaway.

mod deltas;
mod filters;
mod goodbye;
mod laggards;
