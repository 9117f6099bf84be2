//! The files of the repository, read as Rust.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// One file below `src`.
pub struct Source {
    /// Its path below `src`.
    pub path: String,
    /// The module that it is, from the crate's root.
    pub module: Vec<String>,
    /// What the program is made of: without tests.
    pub uses: Uses,
}

/// What a file names.
#[derive(Default)]
pub struct Uses {
    /// Paths as they are written, with the modules inside the file in which they stand.
    pub paths: Vec<(Vec<String>, Vec<String>)>,
    /// What `pub use` passes on: its name here, and whose it is.
    pub passed_on: Vec<(String, Vec<String>)>,
    /// The files that it declares.
    pub declared: BTreeSet<String>,
    /// Of these, the ones that are there for tests only.
    for_tests: BTreeSet<String>,
    inside: Vec<String>,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut uses = Uses::default();
        uses.visit_file(&syntax);
        let module = path.strip_suffix(".rs").unwrap().split('/').map(str::to_owned);
        let mut module: Vec<String> = module.collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        Self { path: path.to_owned(), module, uses }
    }

    /// The crates that it names.
    pub fn foreign_crates(&self) -> BTreeSet<String> {
        self.uses.paths.iter().filter_map(|(_, path)| path.first().cloned()).collect()
    }
}

/// All that is compiled into the program. Tests in files of their own are left out.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_below(&root).into_iter();
    let rust = files.filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
    let read = rust.map(|file| {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
        Source::read(path, &fs::read_to_string(&file).unwrap())
    });
    without_tests(read.collect())
}

/// Leaves out the files that their parents declare for tests.
fn without_tests(sources: Vec<Source>) -> Vec<Source> {
    let of_source = |source: &Source| -> Vec<Vec<String>> {
        let child = |name: &String| source.module.iter().chain([name]).cloned().collect();
        source.uses.for_tests.iter().map(child).collect()
    };
    let for_tests: Vec<Vec<String>> = sources.iter().flat_map(of_source).collect();
    let is_for_tests =
        |source: &Source| for_tests.iter().any(|module| source.module.starts_with(module));
    sources.into_iter().filter(|source| !is_for_tests(source)).collect()
}

/// Every file of ours with one of these endings, by its path from the repository's root.
pub fn lines_of(endings: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "bench", "benches", "proto"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| files_below(folder));
    let wanted = files.filter(|file| {
        file.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
    });
    let read = wanted.map(|file| {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (path, fs::read_to_string(&file).unwrap())
    });
    read.collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    let below = |entry: PathBuf| if entry.is_dir() { files_below(&entry) } else { vec![entry] };
    entries.into_iter().flat_map(below).collect()
}

impl<'a> Visit<'a> for Uses {
    fn visit_item(&mut self, item: &'a syn::Item) {
        match item {
            item if !is_for_tests(attributes(item)) => visit::visit_item(self, item),
            syn::Item::Mod(module) => drop(self.for_tests.insert(module.ident.to_string())),
            _ => {}
        }
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        let name = module.ident.to_string();
        if module.content.is_some() {
            self.inside.push(name);
            visit::visit_item_mod(self, module);
            self.inside.pop();
        } else {
            self.declared.insert(name);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (name, path) in leaves {
            if is_passed_on {
                self.passed_on.push((name, path));
            } else {
                self.paths.push((self.inside.clone(), path));
            }
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.paths.push((self.inside.clone(), names));
        }
        visit::visit_path(self, path);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test"))
    })
}

/// Each name that a `use` brings in, and its path.
fn flatten(tree: &syn::UseTree, before: &mut Vec<String>, leaves: &mut Vec<(String, Vec<String>)>) {
    let mut leaf = |name: String, last: Option<String>| {
        let path = before.iter().cloned().chain(last.filter(|last| last != "self")).collect();
        leaves.push((name, path));
    };
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, leaves);
            }
        }
        syn::UseTree::Name(name) => leaf(name.ident.to_string(), Some(name.ident.to_string())),
        syn::UseTree::Rename(name) => leaf(name.rename.to_string(), Some(name.ident.to_string())),
        syn::UseTree::Glob(_) => leaf("*".to_owned(), None),
    }
}

/// A function and its length in lines.
pub struct Function {
    pub name: String,
    pub lines: usize,
}

/// All functions of a file, those of tests too.
pub fn functions(text: &str) -> Vec<Function> {
    #[derive(Default)]
    struct Functions(Vec<Function>);
    impl Functions {
        fn add(&mut self, name: &syn::Ident, block: &syn::Block) {
            let end = block.brace_token.span.close().end();
            let lines = end.line + 1 - name.span().start().line;
            self.0.push(Function { name: name.to_string(), lines });
        }
    }
    impl<'a> Visit<'a> for Functions {
        fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
            self.add(&item.sig.ident, &item.block);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
            self.add(&item.sig.ident, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }
    let mut functions = Functions::default();
    functions.visit_file(&syn::parse_file(text).unwrap());
    functions.0
}

/// Whether serde reads a struct.
fn is_read(item: &syn::ItemStruct) -> bool {
    let mut derives = item.attrs.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derives.any(|derive| format!("{:?}", derive.meta).contains("Deserialize"))
}

/// The names of all fields of all structs that serde reads, in their order.
pub fn fields(text: &str) -> Vec<String> {
    let items = syn::parse_file(text).unwrap().items;
    let structs = items.iter().filter_map(|item| match item {
        syn::Item::Struct(item) if is_read(item) => Some(item),
        _ => None,
    });
    let fields = structs.flat_map(|item| item.fields.iter());
    fields.filter_map(|field| field.ident.as_ref().map(ToString::to_string)).collect()
}
