//! Which files there are.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The files that were named, and those of the directories that end in `.eml`, by name.
/// Directories within directories are left out.
pub(crate) fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(Error::file(path))? {
            let file = entry.map_err(Error::file(path))?.path();
            let is_eml = file
                .extension()
                .is_some_and(|it| it.eq_ignore_ascii_case("eml"));
            if is_eml && file.is_file() {
                found.push(file);
            }
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}
