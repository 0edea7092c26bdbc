//! Imports go downwards only.

use std::fs;
use std::path::Path;

/// Top to bottom. `error` is the public error, beside the client; `sync` is below all.
const LAYERS: [&str; 6] = ["client", "pool", "connection", "protocol", "wire", "types"];

fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            into.push((path.display().to_string(), text));
        }
    }
}

/// The crate's modules that a source file names, with the line.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let module: String = code[at + 7..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            found.push((number + 1, module));
        }
    }
    found
}

fn upward(layer: usize, text: &str) -> Vec<String> {
    imports(text)
        .into_iter()
        .filter(|(_, module)| {
            let above = LAYERS[..layer].contains(&module.as_str());
            let error = module == "error" && layer > 0;
            above || error
        })
        .map(|(line, module)| format!("line {line}: crate::{module}"))
        .collect()
}

#[test]
fn no_layer_imports_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (layer, name) in LAYERS.iter().enumerate() {
        let mut files = Vec::new();
        sources(&source.join(name), &mut files);
        assert!(!files.is_empty(), "the layer {name} has no files");
        for (path, text) in files {
            for import in upward(layer, &text) {
                wrong.push(format!("{path}, {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_loop_and_the_pool_name_no_protocol() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for name in ["pool", "connection"] {
        let mut files = Vec::new();
        sources(&source.join(name), &mut files);
        for (path, text) in files {
            let text = text.to_ascii_lowercase();
            for protocol in ["imap", "pop3", "smtp"] {
                assert!(!text.contains(protocol), "{path} names {protocol}");
            }
        }
    }
}

#[test]
fn an_upward_import_would_be_found() {
    assert_eq!(
        upward(
            2,
            "use crate::types::X;\nlet y = crate::pool::Y; // crate::client"
        ),
        ["line 2: crate::pool"]
    );
    assert_eq!(
        upward(3, "use crate::error::Error;"),
        ["line 1: crate::error"]
    );
}
