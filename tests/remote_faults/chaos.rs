//! Interim.
