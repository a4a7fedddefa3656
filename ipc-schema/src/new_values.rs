//! Rules for new values. They are newer than the first release, so stored values may break them.
//! Values that only refer to an existing object are exempt.

use crate::error::RpcError;
use crate::model::{CheckedText, PeerInput};

/// Value that a request may introduce.
pub(crate) trait NewValue {
    /// Checks the value of a field.
    ///
    /// # Errors
    /// `invalid_params` naming the field.
    fn check_new_at(&self, field: &str) -> Result<(), RpcError>;
}

impl<T: CheckedText> NewValue for T {
    fn check_new_at(&self, field: &str) -> Result<(), RpcError> {
        self.check_new().map_err(|rule| RpcError::invalid_params(field, rule.to_string()))
    }
}

impl<T: NewValue> NewValue for Option<T> {
    fn check_new_at(&self, field: &str) -> Result<(), RpcError> {
        self.as_ref().map_or(Ok(()), |value| value.check_new_at(field))
    }
}

impl NewValue for PeerInput {
    fn check_new_at(&self, field: &str) -> Result<(), RpcError> {
        self.check_new().map_err(|(inner, rule)| {
            RpcError::invalid_params(format!("{field}.{inner}"), rule.to_string())
        })
    }
}
