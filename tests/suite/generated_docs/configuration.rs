//! docs/configuration.md and .env.example.

use convoke::config::document;

#[test]
fn the_page_of_the_configuration_is_what_the_code_says() {
    super::check("configuration.md", &document::markdown());
    super::check("../.env.example", &document::env_example());
}
