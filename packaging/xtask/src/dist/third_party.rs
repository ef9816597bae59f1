//! Whose code is linked into a program: debian/copyright, and the notices that licences want to be passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};

use crate::report::Stop;

/// How a file begins that has a licence's text or a notice in it.
const NOTICES: [&str; 6] = ["license", "licence", "copying", "notice", "copyright", "unlicense"];

/// The crates of others that are linked into `program`, by name and version.
pub(crate) fn linked<'a>(metadata: &'a Metadata, program: &str) -> Vec<&'a Package> {
    let packages: BTreeMap<&PackageId, &Package> = metadata.packages.iter().map(|found| (&found.id, found)).collect();
    let nodes: BTreeMap<_, _> = metadata
        .resolve
        .iter()
        .flat_map(|all| &all.nodes)
        .map(|node| (&node.id, node))
        .collect();
    let mut ahead: Vec<&PackageId> = metadata
        .packages
        .iter()
        .filter(|found| found.name.as_str() == program)
        .map(|found| &found.id)
        .collect();
    let mut seen: BTreeSet<&PackageId> = ahead.iter().copied().collect();
    while let Some(id) = ahead.pop() {
        let uses = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let linked = uses.filter(|used| used.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        for used in linked {
            if seen.insert(&used.pkg) {
                ahead.push(&used.pkg);
            }
        }
    }
    let mut linked: Vec<&Package> = seen
        .into_iter()
        .filter_map(|id| packages.get(id).copied())
        .filter(|package| package.source.is_some())
        .collect();
    linked.sort_by(|a, b| (a.name.as_str(), &a.version).cmp(&(b.name.as_str(), &b.version)));
    linked
}

/// debian/copyright in its machine-readable form; `own` is the text of our MIT licence.
pub(crate) fn copyright(linked: &[&Package], own: &str) -> String {
    let mut text = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: Quorate\n\
         Source: https://example.invalid/quorate\n\
         Comment: The program is linked statically with the crates below, whose sources\n \
         are at https://crates.io. Their notices are in third-party.txt in this folder.\n\n\
         Files: *\n\
         Copyright: 2026 The Quorate authors\n\
         License: Expat or Apache-2.0\n",
    );
    for package in linked {
        let whose = match package.authors.as_slice() {
            [] => format!("The authors of {}", package.name),
            authors => authors.join("\n "),
        };
        let licence = package.license.as_deref().unwrap_or("unknown");
        let licence = licence
            .replace(" OR ", " or ")
            .replace(" AND ", " and ")
            .replace('/', " or ");
        text.push_str(&format!(
            "\nFiles: {name}-{version}/*\nCopyright: {whose}\nLicense: {licence}\n \
             Said by the crate itself; texts and notices are in third-party.txt.\n",
            name = package.name,
            version = package.version,
        ));
    }
    let indented: String = own
        .lines()
        .map(|line| {
            if line.trim().is_empty() {
                " .\n".to_owned()
            } else {
                format!(" {line}\n")
            }
        })
        .collect();
    text.push_str(&format!(
        "\nLicense: Expat\n{indented}\nLicense: Apache-2.0\n On Debian systems, the full text of the Apache License, Version 2.0, is in\n \
         /usr/share/common-licenses/Apache-2.0.\n"
    ));
    text
}

/// What the program for guests has inside besides: it is linked statically.
pub(crate) const STATIC_GLIBC: &str = "
Files: usr/share/quorate/guest/quorate-tally
Copyright: 2026 The Quorate authors
 1991-2025 Free Software Foundation, Inc.
License: Expat or Apache-2.0, and LGPL-2.1+
Comment: The GNU C Library of the Debian that it was built on is inside. Whoever wants
 another one there builds it from the same sources: cargo xtask dist.

License: LGPL-2.1+
 On Debian systems, the full text of the GNU Lesser General Public License 2.1
 is in /usr/share/common-licenses/LGPL-2.1.
";

/// Every notice that came with the crates, each once, with the crates that it came with.
pub(crate) fn notices(linked: &[&Package]) -> Result<String, Stop> {
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut without = BTreeSet::new();
    for package in linked {
        let folder = package.manifest_path.as_std_path().parent().unwrap_or(Path::new("/"));
        let label = format!("{} {}", package.name, package.version);
        let texts = texts_in(folder)?;
        if texts.is_empty() {
            without.insert(format!("{label}: {}", package.license.as_deref().unwrap_or("unknown")));
        }
        for text in texts {
            by_text.entry(text).or_default().insert(label.clone());
        }
    }
    // By the first crate, so that a new version of one moves little.
    let mut ordered: Vec<(BTreeSet<String>, String)> = by_text.into_iter().map(|(text, whose)| (whose, text)).collect();
    ordered.sort();
    let mut page = String::from("Licences and notices of the crates that are linked into this program.\n");
    for (whose, text) in ordered {
        let whose: Vec<String> = whose.into_iter().collect();
        let line = "=".repeat(78);
        page.push_str(&format!(
            "\n{line}\n{}\n{line}\n\n{}\n",
            whose.join("\n"),
            text.trim_matches('\n')
        ));
    }
    if !without.is_empty() {
        let without: Vec<String> = without.into_iter().collect();
        page.push_str(&format!(
            "\nThese came without a text of their licence:\n\n{}\n",
            without.join("\n")
        ));
    }
    Ok(page)
}

fn texts_in(folder: &Path) -> Result<Vec<String>, Stop> {
    let mut texts = Vec::new();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Stop::file(folder))? {
        paths.push(entry.map_err(Stop::file(folder))?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_code = path.extension().is_some_and(|end| end == "rs");
        if path.is_file() && !is_code && NOTICES.iter().any(|begins| name.starts_with(begins)) {
            let bytes = fs::read(&path).map_err(Stop::file(&path))?;
            texts.push(String::from_utf8_lossy(&bytes).replace('\r', ""));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_has_its_notices_and_what_only_tests_use_is_not_there() {
        let metadata =
            crate::metadata(&["--filter-platform".to_owned(), "x86_64-unknown-linux-gnu".to_owned()]).unwrap();
        let linked = linked(&metadata, "quorate-agent");
        let names: Vec<&str> = linked.iter().map(|package| package.name.as_str()).collect();
        assert!(names.contains(&"ring") && names.contains(&"tokio"), "{names:?}");
        assert!(!names.contains(&"tempfile") && !names.contains(&"sled"), "{names:?}");
        let page = notices(&linked).unwrap();
        assert!(page.contains("BoringSSL") && page.contains("Tokio Contributors"));
        let copyright = copyright(&linked, "MIT License\n\nPermission\n");
        assert!(copyright.contains("\nFiles: ring-0.17"), "{copyright}");
        assert!(
            copyright.contains("License: Expat\n MIT License\n .\n Permission\n"),
            "{copyright}"
        );
    }
}
