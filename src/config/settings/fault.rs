//! The setting that ends a process on purpose.

use super::{Accepts, Setting};

pub const FAULT: Setting = Setting::new(
    "CONVOKE_FAULT",
    "fault",
    Accepts::Text,
    "",
    "For tests of what a crash leaves, in development only: `POINT:PASS:kill` or `POINT:PASS:stop` ends (SIGKILL) or stops (SIGSTOP) \
     the process when it passes a point for the n-th time. Points of the relay: `before-send`, `after-send`, `before-commit`, \
     `after-commit`, `before-progress`; of archiving: `archive-writing`, `archive-written`, `archive-kept`, `archive-detached`, \
     `archive-dropped`.",
);
