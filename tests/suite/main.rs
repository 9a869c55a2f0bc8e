//! The black-box tests: one binary, a module for each part of the product.

// A test that unwraps what is not there fails, as it should; clippy knows this only of functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

mod harness;

mod api;
mod archives;
mod caches;
mod cli;
mod command_line;
mod database;
mod deadlines;
mod embedded;
mod erasure;
mod execute;
mod export;
mod feeds;
mod full_disk;
mod generated_docs;
mod golden;
mod house;
mod http_frame;
mod import;
mod kafka;
mod kills;
mod live;
mod log;
mod log_commands;
mod maintenance;
mod notifications;
mod pooled;
mod projections;
mod refusals;
mod replicas;
mod security;
mod slow_statements;
mod unanalysed;
