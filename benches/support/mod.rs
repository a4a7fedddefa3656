//! Tools of the measurements.

pub(crate) mod client;
pub(crate) mod echo;
pub(crate) mod figures;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod parties;
#[path = "../../tests/harness/port.rs"]
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod report;
pub(crate) mod site;
pub(crate) mod vitals;
pub(crate) mod wrk;
pub(crate) mod ws;
