//! The one reader of the environment and of the configuration file.
