//! Messages of the local control plane beside calls.

use actix::prelude::*;

use std::time::Duration;

use crate::core::Rules;

/// Replaces the rules of the registry, and the interval between writes of signs of life.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetRules(pub(crate) Rules, pub(crate) Duration);

/// Stops taking calls; answered once all earlier ones are durable or refused.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;
