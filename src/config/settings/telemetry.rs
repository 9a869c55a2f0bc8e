//! Settings of what the process says of itself.

use super::{Accepts, Setting};

pub const LOG_FORMAT: Setting = Setting::new(
    "CONVOKE_LOG_FORMAT",
    "telemetry.format",
    Accepts::OneOf(&["auto", "human", "json"]),
    "auto",
    "The format of the process's own log; auto: human in development, json in production.",
);
pub const LOG_LEVEL: Setting = Setting::new(
    "CONVOKE_LOG_LEVEL",
    "telemetry.level",
    Accepts::Text,
    "info",
    "The log level: error, warn, info, debug, trace, or a filter such as info,convoke::events=debug.",
);
