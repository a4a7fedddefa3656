//! Network exposure of the server: addresses, client identification and shutdown.

mod hosts;
mod locks;
mod network;
mod origins;
mod stop;
mod tls;
