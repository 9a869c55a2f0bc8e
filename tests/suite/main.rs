//! The black-box tests: one binary, a module for each part of the product.

mod generated_docs;
mod golden;
