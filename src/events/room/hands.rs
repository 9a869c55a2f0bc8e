//! Raised hands, in the order in which they were raised, and the spotlight.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Identity;

/// Somebody raised a hand; it stands behind those that were raised before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandRaised {
    pub identity: Identity,
}

/// A hand was lowered, by its owner or by staff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandLowered {
    pub identity: Identity,
}

/// The person everybody sees large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotlightSet {
    pub identity: Identity,
}

/// Nobody is in the spotlight any longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotlightCleared {}
