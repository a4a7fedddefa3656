//! A wire over LANrage's HTTP.

use super::{Loss, Target, Wire};

/// Opens a wire over HTTP.
///
/// # Errors
/// Why there is none.
pub async fn open(_: &Target) -> Result<Wire, Loss> {
    Err(Loss::new("there is no HTTP transport yet"))
}
