//! The daemon in remote mode against servers that misbehave, networks that fail, and both dying.

mod bad_frames;
mod bad_servers;
mod bounds;
mod certificates;
mod chaos;
mod clocks;
mod entries;
mod gateways;
mod hostile;
mod http_lies;
mod lies;
mod lost_answers;
mod network;
mod outbox;
mod play;
mod prober;
mod proxies;
mod refusals;
mod trial;
mod world;
