#[test]
fn the_description_of_the_streams_is_that_of_the_code() {
    super::check("asyncapi.json", &convoke::http::asyncapi::text());
}
