//! Those who run it: the admin socket, metrics, the log.
