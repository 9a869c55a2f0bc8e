//! Raised hands, in the order in which they were raised, and the spotlight.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandRaised {
    pub identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandLowered {
    pub identity: Identity,
}

/// The person everybody sees large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotlightSet {
    pub identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotlightCleared {}
