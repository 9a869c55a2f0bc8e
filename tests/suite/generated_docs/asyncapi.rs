use serde_json::Value;

#[test]
fn the_description_of_the_streams_is_that_of_the_code() {
    super::check("asyncapi.json", &convoke::http::asyncapi::text());
}

/// The schema that the makers of AsyncAPI publish; see `tests/data/asyncapi/NOTICE`.
const PUBLISHED: &str = include_str!("../../data/asyncapi/3.0.0.json");

#[test]
fn the_description_of_the_streams_is_asyncapi_3() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let published = jsonschema::draft7::new(&published).unwrap();
    let mut document = convoke::http::asyncapi::document();
    let faults: Vec<_> = published.iter_errors(&document).map(|e| format!("{} {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    document["operations"]["stream-events"]["action"] = "publish".into();
    assert!(!published.is_valid(&document), "what AsyncAPI 3 does not know passes for valid");
}
