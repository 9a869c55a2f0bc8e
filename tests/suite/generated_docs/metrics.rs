//! docs/metrics.md.

#[test]
fn the_page_of_metrics_is_what_the_code_says() {
    super::check("metrics.md", &convoke::telemetry::metrics::markdown());
}
