//! Documents that are made from code, so that they cannot lag behind it.

use std::fs;
use std::path::Path;

use crate::report::{Report, Stop};

/// A generated document: where it lies, and what makes its text.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Relative to the repository's root.
    pub(crate) path: &'static str,
    /// The whole text.
    pub(crate) text: fn() -> String,
}

/// All generated documents. A generator is a function in a module of its own, named here.
pub(crate) const GENERATED: &[Generated] = &[
    Generated {
        path: "docs/findings.md",
        text: crate::pages::findings,
    },
    Generated {
        path: "docs/exit-codes.md",
        text: crate::pages::exit_codes,
    },
    Generated {
        path: "docs/actions.md",
        text: crate::pages::actions,
    },
    Generated {
        path: "docs/faults.md",
        text: crate::pages::faults,
    },
    Generated {
        path: "docs/cluster-file.md",
        text: crate::cluster_file::page,
    },
    Generated {
        path: "docs/versions.md",
        text: crate::versions::page,
    },
];

/// Writes every document anew.
pub(crate) fn write(root: &Path, documents: &[Generated]) -> Result<Report, Stop> {
    for Generated { path, text } in documents {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Stop::file(folder))?;
        }
        fs::write(&path, text()).map_err(Stop::file(&path))?;
    }
    Ok(Report {
        name: "docs",
        checked: format!("{} documents written", documents.len()),
        ..Report::default()
    })
}

/// Compares every document with what would be written.
pub(crate) fn check(root: &Path, documents: &[Generated]) -> Result<Report, Stop> {
    let mut violations = Vec::new();
    for Generated { path, text } in documents {
        let full = root.join(path);
        match fs::read_to_string(&full) {
            Ok(found) if found == text() => {}
            Ok(_) => violations.push(format!("{path} is not what the code says now: run `cargo xtask docs`")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                violations.push(format!("{path} is missing: run `cargo xtask docs`"));
            }
            Err(error) => return Err(Stop::file(&full)(error)),
        }
    }
    let checked = format!("{} generated documents", documents.len());
    Ok(Report {
        name: "docs",
        checked,
        violations,
        ..Report::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_missing_then_written_then_stale() {
        let root = tempfile::tempdir().unwrap();
        let documents = [Generated {
            path: "docs/findings.md",
            text: || "# Findings\n".to_owned(),
        }];
        let seen = || check(root.path(), &documents).unwrap().violations;
        assert_eq!(seen(), ["docs/findings.md is missing: run `cargo xtask docs`"]);
        write(root.path(), &documents).unwrap();
        assert_eq!(seen(), Vec::<String>::new());
        fs::write(root.path().join("docs/findings.md"), "# Finding\n").unwrap();
        assert_eq!(
            seen(),
            ["docs/findings.md is not what the code says now: run `cargo xtask docs`"]
        );
    }
}
