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
        .chain(["/openapi.json", "/asyncapi.json"])
        .collect();
    assert!(linked.contains(&"/docs/page.js") && linked.contains(&"/docs/page.css"), "{linked:?}");
    for path in linked {
        assert_eq!(service.server.get(path).await.status().as_u16(), 200, "{path}");
    }
    assert!(!page.contains("://"), "nothing of another host");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    for name in ["/openapi.json", "/asyncapi.json"] {
        let kept = std::fs::read_to_string(format!("{kept}{name}")).unwrap();
        assert_eq!(service.server.get(name).await.text().await.unwrap(), kept, "{name}");
    }
}
