//! Which file of `src/` uses which, and the circles among them.
//!
//! A name is followed through `pub use` to the file that defines it: who imports `a::B`, where `a/mod.rs` has `pub use b::B`,
//! uses `a/b.rs`. A `pub use` is then no use of its own, unless its file has the name in its code as well. Importing a module
//! is no use either: the paths that go through it are. Where none does and the code has its name, as in `routes!(events)`,
//! its file is used.

use std::collections::{BTreeMap, HashMap};

use super::uses::{self, Import, Named};

/// One file of `src/`, which is one module.
struct Module {
    file: String,
    /// `["events", "log"]` for `events/log/mod.rs` and `events/log.rs`.
    path: Vec<String>,
    named: Named,
}

/// That one file needs another: the first line on which it says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    /// As it is written.
    pub path: String,
}

pub struct Graph {
    modules: Vec<Module>,
    by_path: HashMap<Vec<String>, usize>,
    pub uses: Vec<Use>,
}

impl Graph {
    /// Of files by their path from `src/`, with their text.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let module = |(file, text): (&str, &str)| {
            let path = file.trim_end_matches(".rs").split('/').map(str::to_owned);
            let path = path.filter(|part| !["mod", "lib"].contains(&part.as_str())).collect();
            Module { file: file.to_owned(), path, named: uses::read(text) }
        };
        let modules: Vec<Module> = files.into_iter().map(module).collect();
        let of_tests: Vec<Vec<String>> = modules
            .iter()
            .flat_map(|module| module.named.test_children.iter().map(|child| child_of(&module.path, child)))
            .collect();
        let is_test = |module: &Module| of_tests.iter().any(|tests| module.path.starts_with(tests));
        let modules: Vec<Module> = modules.into_iter().filter(|module| !is_test(module)).collect();
        let by_path = modules.iter().enumerate().map(|(at, module)| (module.path.clone(), at)).collect();
        let mut graph = Self { modules, by_path, uses: Vec::new() };
        graph.uses = (0..graph.modules.len()).flat_map(|at| graph.uses_of(at)).collect();
        graph
    }

    pub fn file(&self, at: usize) -> &str {
        &self.modules[at].file
    }

    /// The folder that a file belongs to. `a/b.rs` beside a folder `a/b/` belongs into it, as `a/b/mod.rs` does. A file
    /// right under `src/` is a folder of its own.
    pub fn folder(&self, at: usize) -> &[String] {
        let module = &self.modules[at];
        let has_children = self
            .modules
            .iter()
            .any(|other| other.path.len() == module.path.len() + 1 && other.path.starts_with(&module.path));
        let is_folder = has_children || module.path.len() <= 1;
        &module.path[..module.path.len() - usize::from(!is_folder)]
    }

    /// What a file needs, one [`Use`] for each other file and part that it names.
    fn uses_of(&self, from: usize) -> Vec<Use> {
        let named = &self.modules[from].named;
        let signpost =
            |import: &Import| import.public && import.name.as_ref().is_none_or(|name| !named.words.contains(name));
        let imports = named.imports.iter().filter(|import| !signpost(import)).map(|import| (&import.path, import.line));
        let mentions = named.mentions.iter().map(|mention| (&mention.path, mention.line));
        let globs: Vec<&Vec<String>> =
            named.imports.iter().filter(|import| import.glob).map(|import| &import.path).collect();
        // A module that is given by its name alone, as to a macro.
        let bare = |path: &Vec<String>| {
            let import =
                named.imports.iter().find(|import| import.path == *path).and_then(|import| import.name.as_ref());
            let through = |name| named.mentions.iter().any(|mention| mention.path.first() == Some(name));
            import.is_some_and(|name| named.words.contains(name) && !through(name))
        };
        let mut uses: BTreeMap<usize, Use> = BTreeMap::new();
        for (path, line) in imports.chain(mentions) {
            let Some(found) = self.resolve(from, path, 0) else { continue };
            if found.module == from || found.whole_module && !globs.contains(&path) && !bare(path) {
                continue;
            }
            let new = Use { from, to: found.module, line, path: path.join("::") };
            let kept = uses.entry(found.module).or_insert_with(|| new.clone());
            if line < kept.line {
                *kept = new;
            }
        }
        uses.into_values().collect()
    }

    /// The file that defines what a path of `from` names. `None`: another crate, or a name that only macros make.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Found> {
        let module = &self.modules[from];
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => self.by_path.get(&[][..]).copied()?,
            "self" => from,
            "super" => self.parent(from)?,
            name if module.named.children.iter().any(|child| child == name) => {
                self.by_path.get(&child_of(&module.path, name)).copied()?
            }
            name => {
                let imports = || module.named.imports.iter();
                let import = imports().find(|import| import.name.as_deref() == Some(name) && import.path != path)?;
                if depth > MAX_STEPS {
                    return None;
                }
                let whole: Vec<String> = import.path.iter().chain(rest).cloned().collect();
                return self.resolve(from, &whole, depth + 1);
            }
        };
        self.walk(start, rest, depth)
    }

    /// From a module on along `path`, as far as there are modules, and through `pub use` where the name comes from there.
    fn walk(&self, start: usize, path: &[String], depth: usize) -> Option<Found> {
        let module = &self.modules[start];
        let Some((name, rest)) = path.split_first() else {
            return Some(Found { module: start, whole_module: true });
        };
        if name == "super" {
            return self.walk(self.parent(start)?, rest, depth);
        }
        if let Some(&child) = self.by_path.get(&child_of(&module.path, name)) {
            return self.walk(child, rest, depth);
        }
        let here = Some(Found { module: start, whole_module: false });
        if depth > MAX_STEPS || module.named.items.contains(name) {
            return here;
        }
        if let Some(import) = module.named.imports.iter().find(|import| import.name.as_ref() == Some(name)) {
            let whole: Vec<String> = import.path.iter().chain(rest).cloned().collect();
            // A name of another crate, given on: this file is where it comes from.
            return self.resolve(start, &whole, depth + 1).or(here);
        }
        let globs = module.named.imports.iter().filter(|import| import.glob && import.public);
        let mut through = globs.filter_map(|glob| {
            let whole: Vec<String> = glob.path.iter().chain(path).cloned().collect();
            let found = self.resolve(start, &whole, depth + 1)?;
            self.modules[found.module].named.items.contains(name).then_some(found)
        });
        through.next().or(here)
    }

    fn parent(&self, at: usize) -> Option<usize> {
        let (_, above) = self.modules[at].path.split_last()?;
        self.by_path.get(above).copied()
    }

    /// Files that need each other, each circle whole: the strongly connected components of more than one file.
    pub fn circles(&self) -> Vec<Vec<usize>> {
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.modules.len()];
        for one in &self.uses {
            next[one.from].push(one.to);
        }
        let mut search = Tarjan {
            next: &next,
            seen: HashMap::new(),
            low: vec![0; next.len()],
            open: Vec::new(),
            circles: Vec::new(),
        };
        for at in 0..next.len() {
            if !search.seen.contains_key(&at) {
                search.visit(at);
            }
        }
        search.circles
    }

    /// The uses inside a circle, one a line.
    pub fn tell(&self, circle: &[usize]) -> String {
        let inside = self.uses.iter().filter(|one| circle.contains(&one.from) && circle.contains(&one.to));
        let line = |one: &Use| {
            format!("  src/{}:{} uses src/{} ({})\n", self.file(one.from), one.line, self.file(one.to), one.path)
        };
        inside.map(line).collect()
    }
}

/// Of `pub use` behind `pub use`: more than anybody writes.
const MAX_STEPS: usize = 16;

#[derive(Debug)]
struct Found {
    module: usize,
    /// The path ends at the module itself.
    whole_module: bool,
}

fn child_of(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Tarjan's search for strongly connected components.
struct Tarjan<'a> {
    next: &'a [Vec<usize>],
    /// The order in which files were met, from 0.
    seen: HashMap<usize, usize>,
    low: Vec<usize>,
    open: Vec<usize>,
    circles: Vec<Vec<usize>>,
}

impl Tarjan<'_> {
    fn visit(&mut self, at: usize) {
        let order = self.seen.len();
        self.seen.insert(at, order);
        self.low[at] = order;
        self.open.push(at);
        for &to in &self.next[at] {
            match self.seen.get(&to) {
                None => {
                    self.visit(to);
                    self.low[at] = self.low[at].min(self.low[to]);
                }
                Some(&met) if self.open.contains(&to) => self.low[at] = self.low[at].min(met),
                Some(_) => {}
            }
        }
        if self.low[at] == order {
            let from = self.open.iter().position(|open| *open == at).expect("it was put there");
            let mut circle = self.open.split_off(from);
            circle.sort_unstable();
            if circle.len() > 1 {
                self.circles.push(circle);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Graph {
        Graph::new(files.iter().copied())
    }

    fn uses(files: &[(&str, &str)]) -> Vec<String> {
        let graph = graph(files);
        graph.uses.iter().map(|one| format!("{} > {}", graph.file(one.from), graph.file(one.to))).collect()
    }

    #[test]
    fn a_path_leads_to_the_file_that_defines_the_name() {
        let a = [("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod one; mod two; pub use one::One; pub struct Here;")];
        let inner = [("a/one.rs", "pub struct One;"), ("a/two.rs", "pub struct Two;")];
        let with = |text: &'static str| uses(&[a[0], a[1], inner[0], inner[1], ("b.rs", text)]);
        for (text, expected) in [
            ("use crate::a::One;", vec!["b.rs > a/one.rs"]),
            ("use crate::a::two::Two;", vec!["b.rs > a/two.rs"]),
            ("use crate::a::{Here, two::Two as T};", vec!["b.rs > a/mod.rs", "b.rs > a/two.rs"]),
            ("use crate::a;\nfn f() -> a::One {}", vec!["b.rs > a/one.rs"]),
            ("use crate::a::two as other;\nfn f() -> other::Two {}", vec!["b.rs > a/two.rs"]),
            ("use super::a::two;", vec![]),
            ("fn f() -> super::a::two::Two {}", vec!["b.rs > a/two.rs"]),
            ("use crate::a::two; routes!(two);", vec!["b.rs > a/two.rs"]),
            ("use crate::a::two::*;", vec!["b.rs > a/two.rs"]),
            ("fn f() { crate::a::One::new() }", vec!["b.rs > a/one.rs"]),
            ("use serde::Serialize; fn f() { std::mem::take() }", vec![]),
        ] {
            assert_eq!(with(text), expected, "{text}");
        }
    }

    #[test]
    fn a_glob_that_is_given_on_is_followed() {
        let files =
            [("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod one; pub use one::*;"), ("a/one.rs", "pub enum One {}")];
        let [lib, a, one] = files;
        assert_eq!(uses(&[lib, a, one, ("b.rs", "use crate::a::One;")]), ["b.rs > a/one.rs"]);
    }

    #[test]
    fn a_name_that_is_given_on_and_used_here_is_a_use() {
        let one = ("a/one.rs", "pub struct One;");
        assert_eq!(uses(&[("a/mod.rs", "mod one; pub use one::One;"), one]), [""; 0]);
        assert_eq!(uses(&[("a/mod.rs", "mod one; pub use one::One; struct S(One);"), one]), ["a/mod.rs > a/one.rs"]);
    }

    #[test]
    fn circles_are_found_and_told_with_their_lines() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a/mod.rs", "mod x;"),
            ("a/x.rs", "\nuse crate::b::B;\npub struct X;"),
            ("b.rs", "use crate::c::C;\npub struct B;"),
            ("c.rs", "use crate::a::x::X;\npub struct C;"),
        ]);
        let circles = graph.circles();
        assert_eq!(circles.len(), 1);
        assert_eq!(
            graph.tell(&circles[0]),
            "  src/a/x.rs:2 uses src/b.rs (crate::b::B)\n  src/b.rs:1 uses src/c.rs (crate::c::C)\n  \
             src/c.rs:1 uses src/a/x.rs (crate::a::x::X)\n"
        );
        assert_eq!(graph.folder(2), ["a"]);
        assert_eq!(graph.folder(1), ["a"]);
    }

    #[test]
    fn tests_are_not_part_of_the_house() {
        let files =
            [("a/mod.rs", "#[cfg(test)]\nmod tests;"), ("a/tests.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
        assert_eq!(uses(&files), [""; 0]);
    }
}
