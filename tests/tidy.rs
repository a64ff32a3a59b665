//! What the whole repository keeps to: who may know whom, heads of files, reasons, links, a test for everything named.
//!
//! Reads files and `cargo metadata` only; the compiler is used for its tables of passes, ops, rules and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tspc::check::Rule;
use tspc::ir::Opcode;
use tspc::passes::PASSES;
use tspc::sim::FaultKind;

/// Longest file, in lines; what is longer has two subjects.
const LONGEST: usize = 700;

/// Where `println!` is the purpose; everywhere else in libraries it is forgotten debugging.
const PRINTS: [&str; 4] = [
    "src/commands/",
    "/examples/",
    "/benches/",
    "tests/mutation/", // Kill tables.
];

/// Who may not know whom, whatever the table in the documentation says, not even through a third crate.
const STRANGERS: [(&str, &[&str]); 8] = [
    ("ir/machine", &["ir", "ir/num"]),
    ("ir/num", &["ir", "ir/machine"]),
    ("ir", &["ir/machine", "passes", "backend-tsp/program"]),
    (
        "passes",
        &[
            "backend-tsp/program",
            "backend-tsp/check",
            "backend-tsp/sim",
            "backend-tsp/codegen",
        ],
    ),
    (
        "backend-tsp/check",
        &["backend-tsp/sim", "backend-tsp/codegen", "passes", "ir"],
    ),
    (
        "backend-tsp/sim",
        &["backend-tsp/check", "backend-tsp/codegen", "passes", "ir"],
    ),
    (
        "backend-tsp/codegen",
        &["backend-tsp/check", "backend-tsp/sim", "passes"],
    ),
    (
        "frontend-bert",
        &["ir/machine", "passes", "backend-tsp/program"],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file, with its path from the root, `/` between folders.
struct Text {
    path: String,
    text: String,
}

impl Text {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|e| e == extension)
    }

    /// Its lines with their numbers, as places.
    fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        let place = move |(i, line)| (format!("{}:{}", self.path, i + 1), line);
        self.text.lines().enumerate().map(place)
    }
}

/// All files of UTF-8 text that are not built or fetched.
fn texts() -> Vec<Text> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    walk(&path, into);
                }
            } else {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = String::from_utf8(fs::read(&path).unwrap()).ok()?;
        let path = path.strip_prefix(root()).unwrap();
        let path = path.to_string_lossy().replace('\\', "/");
        Some(Text { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}

/// Rust files of the workspace.
fn sources() -> impl Iterator<Item = Text> {
    texts().into_iter().filter(|t| t.is("rs"))
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// The crates by folder, each with the crates of the workspace that it is built from; tests may use more.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let folder = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap();
        match folder.to_string_lossy().replace('\\', "/") {
            folder if folder.is_empty() => "root".to_string(),
            folder => folder,
        }
    };
    let folders: BTreeMap<&str, String> = packages
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), folder(p)))
        .collect();
    let used = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|d| d["kind"].as_str() != Some("dev"))
            .filter_map(|d| folders.get(d["name"].as_str()?).cloned())
            .collect()
    };
    packages.iter().map(|p| (folder(p), used(p))).collect()
}

/// The same as `docs/architecture.md` has it: the third column of its table of crates.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let names = |cell: &str| -> BTreeSet<String> {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_string).collect()
    };
    page.lines()
        .skip_while(|line| !line.starts_with("| crate |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let name = names(cells[1]).pop_first().unwrap();
            (name, names(cells[3]))
        })
        .collect()
}

#[test]
fn crates_use_what_the_architecture_says() {
    assert_eq!(dependencies(), documented());
}

#[test]
fn strangers_do_not_know_one_another() {
    let direct = dependencies();
    for (name, strangers) in STRANGERS {
        let mut known = direct[name].clone();
        loop {
            let more: BTreeSet<String> = known
                .iter()
                .flat_map(|k| direct[k].iter().cloned())
                .collect();
            let before = known.len();
            known.extend(more);
            if known.len() == before {
                break;
            }
        }
        for stranger in strangers {
            assert!(!known.contains(*stranger), "{name} knows {stranger}");
        }
    }
}

#[test]
fn every_source_begins_with_what_it_is_for() {
    let headless: Vec<String> = sources()
        .filter(|t| !t.text.starts_with("//!"))
        .map(|t| t.path)
        .collect();
    none("files without a `//!` head", &headless);
}

#[test]
fn nothing_is_left_to_do_or_to_debug() {
    let mut found = Vec::new();
    for source in sources() {
        let prints = PRINTS
            .iter()
            .any(|p| format!("/{}", source.path).contains(p));
        for (place, line) in source.lines() {
            let code = line.split("//").next().unwrap_or_default();
            let calls = |name: &str| contains_word(code, &format!("{name}!("));
            let unfinished = ["dbg", "todo", "unimplemented"].iter().any(|n| calls(n));
            // What is only measured is an example or a benchmark.
            let ignored = code.trim_start().starts_with("#[ignore");
            if unfinished || ignored || (calls("println") && !prints) {
                found.push(format!("{place}: {}", line.trim()));
            }
        }
    }
    none("unfinished, ignored or printing", &found);
}

#[test]
fn every_allowance_has_a_reason() {
    let mut found = Vec::new();
    for source in sources() {
        for (place, line) in source.lines() {
            let start = line.trim_start();
            let allows = start.starts_with("#[allow(") || start.starts_with("#![allow(");
            if allows && !start.contains("//") && !start.contains("reason =") {
                found.push(format!("{place}: {start}"));
            }
        }
    }
    none("allowed without a reason", &found);
}

#[test]
fn files_have_one_subject() {
    let long = |t: &Text| {
        let prose = ["rs", "md", "py", "tspc", "tspasm"];
        prose.iter().any(|e| t.is(e)) && t.text.lines().count() > LONGEST
    };
    let found: Vec<String> = texts()
        .iter()
        .filter(|t| long(t))
        .map(|t| format!("{}: {} lines", t.path, t.text.lines().count()))
        .collect();
    none(&format!("longer than {LONGEST} lines"), &found);
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for page in texts().iter().filter(|t| t.is("md")) {
        let folder = root().join(&page.path);
        let folder = folder.parent().unwrap();
        for (place, line) in page.lines() {
            let targets = line.split("](").skip(1).filter_map(|l| l.split_once(')'));
            for (target, _) in targets {
                let file = target.split('#').next().unwrap_or_default();
                let outside = file.is_empty() || file.contains("://");
                if !outside && !folder.join(file).exists() {
                    found.push(format!("{place}: {target}"));
                }
            }
        }
    }
    // Comments name pages by their path.
    for source in sources() {
        for (place, line) in source.lines() {
            let comment = line.trim_start().starts_with("//");
            let named = line.split('`').skip(1).step_by(2);
            for page in named.filter(|n| comment && n.starts_with("docs/")) {
                if !root().join(page).exists() {
                    found.push(format!("{place}: {page}"));
                }
            }
        }
    }
    none("links that lead nowhere", &found);
}

#[test]
fn no_file_names_a_machine() {
    let homes = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in texts() {
        for (place, line) in file.lines() {
            let absolute = |home: &String| {
                line.match_indices(home.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || ".}_-".contains(c))
                })
            };
            if homes.iter().any(absolute) {
                found.push(format!("{place}: {}", line.trim()));
            }
        }
    }
    none("paths of a machine", &found);
}

/// Whether a text contains this between characters that no name has.
fn contains_word(text: &str, word: &str) -> bool {
    let named = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let open = word.ends_with('(');
        !before.is_some_and(named) && (open || !after.is_some_and(named))
    })
}

/// What tests say: lit tests, `tests/` folders, `tests.rs` files and test modules.
fn tests() -> String {
    let mut all = String::new();
    for file in texts() {
        let (path, lit) = (&file.path, ["tspc", "tspasm", "test"]);
        let whole = path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || lit.iter().any(|e| file.is(e));
        if path == "tests/tidy.rs" {
            continue;
        }
        if whole {
            all += &file.text;
        } else if let Some((_, module)) = file.text.split_once("#[cfg(test)]\nmod tests {") {
            all += module;
        }
        all.push('\n');
    }
    all
}

#[test]
fn everything_named_has_a_test() {
    let tests = tests();
    let mut found = Vec::new();
    for pass in PASSES {
        // In a pipeline: the name alone is a word of English.
        let starts = [r#"""#, ",", "=", ", "].map(|before| format!("{before}{}", pass.name));
        let ends = ['"', ',', '{', ' ', '\n'];
        let run = |start: &String| {
            tests
                .match_indices(start.as_str())
                .any(|(at, s)| tests[at + s.len()..].starts_with(ends))
        };
        if !starts.iter().any(run) {
            found.push(format!("pass {}", pass.name));
        }
    }
    for op in Opcode::ALL {
        let (name, variant) = (op.def().name, format!("{op:?}"));
        if !contains_word(&tests, name) && !tests.contains(&format!("::{variant}")) {
            found.push(format!("op {name}"));
        }
    }
    // Expected by id in a lit test (`tests/cli_coverage.rs` says which), or by variant in a test of the crate.
    for rule in Rule::ALL {
        if !contains_word(&tests, &format!("Rule::{rule:?}")) {
            found.push(format!("rule {}", rule.id()));
        }
    }
    for fault in FaultKind::ALL {
        if !contains_word(&tests, &format!("FaultKind::{fault:?}")) {
            found.push(format!("fault {}", fault.id()));
        }
    }
    none("without a test that names it", &found);
}
