//! HTTP, as LANrage's client speaks it.
