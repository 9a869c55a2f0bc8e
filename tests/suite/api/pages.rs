//! The description of the API and the page to read it.

use super::Service;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loads_from_this_server_alone() {
    let service = Service::start().await;
    let page = service.server.get("/docs").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    let linked: Vec<&str> = page
        .split(['"', '\''])
        .filter(|text| text.starts_with('/') && text.len() > 1)
        .chain(["/openapi.json"])
        .collect();
    assert!(linked.contains(&"/docs/page.js") && linked.contains(&"/docs/page.css"), "{linked:?}");
    for path in linked {
        assert_eq!(service.server.get(path).await.status().as_u16(), 200, "{path}");
    }
    assert!(!page.contains("://"), "nothing of another host");
    let description: serde_json::Value = service.server.get("/openapi.json").await.json().await.unwrap();
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    assert_eq!(description, serde_json::from_str::<serde_json::Value>(&kept).unwrap());
}
