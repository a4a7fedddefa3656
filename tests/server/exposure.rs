//! What the server shows to the network, to whom, and how it leaves.

mod hosts;
mod locks;
mod network;
mod origins;
mod stop;
mod tls;
