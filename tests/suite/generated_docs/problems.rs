//! docs/problems/: a page for each code.

use std::path::Path;

use convoke::http::problem::pages;

#[test]
fn every_problem_has_its_page() {
    super::check("problems/README.md", &pages::markdown_index());
    for about in pages::catalogue() {
        super::check(&format!("problems/{}.md", about.code), &pages::markdown(&about));
    }
}

#[test]
fn no_page_speaks_of_a_problem_that_is_not_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/problems");
    let codes = pages::catalogue();
    for page in std::fs::read_dir(folder).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let code = name.trim_end_matches(".md");
        assert!(code == "README" || codes.iter().any(|about| about.code == code), "docs/problems/{name} has no code");
    }
}
