//! Messages of the local control plane beside calls.

use actix::prelude::*;

use std::time::Duration;

use crate::core::Rules;

/// Other bounds from here on, and another interval between writing signs of life.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetRules(pub(crate) Rules, pub(crate) Duration);

/// Take no more calls; answered once all that was taken is durable or refused.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;
