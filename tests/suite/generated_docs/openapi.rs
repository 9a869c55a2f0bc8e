#[test]
fn the_description_of_the_api_is_that_of_the_code() {
    super::check("openapi.json", &convoke::http::description::text());
}
