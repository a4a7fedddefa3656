//! What outlives it.
