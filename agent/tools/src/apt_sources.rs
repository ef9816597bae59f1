//! apt's sources: sources.list and `*.list` with one source in a line, `*.sources` in paragraphs (deb822). See sources.list(5).

use quorate_model::observation::readiness::Repository;

use crate::ParseError;

const NAME: &str = "sources.list";
const NAME_822: &str = "*.sources";

/// Whether apt reads a file of this name in sources.list.d.
#[must_use]
pub fn is_read(name: &str) -> bool {
    name.ends_with(".list") || name.ends_with(".sources")
}

/// Reads the repositories of binary packages that a file enables; its path decides its form.
///
/// # Errors
/// When a line or paragraph is no source.
pub fn read(path: &str, text: &str) -> Result<Vec<Repository>, ParseError> {
    if path.ends_with(".sources") {
        paragraphs(path, text)
    } else {
        lines(path, text)
    }
}

/// `deb [ OPTIONS ] URI SUITE COMPONENT…`.
fn lines(path: &str, text: &str) -> Result<Vec<Repository>, ParseError> {
    let mut found = Vec::new();
    for line in text.lines() {
        let bad = |what| ParseError::at(NAME, line, what);
        let words = words(line.split('#').next().unwrap_or_default());
        let mut words = words.into_iter().peekable();
        match words.next() {
            None | Some("deb-src") => continue,
            Some("deb") => {}
            Some(_) => return Err(bad("expected `deb` or `deb-src`")),
        }
        words.next_if(|word| word.starts_with('['));
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
            return Err(bad("expected an address and a suite"));
        };
        found.push(Repository {
            file: path.to_owned(),
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components: words.map(str::to_owned).collect(),
        });
    }
    Ok(found)
}

/// Words; blanks within brackets (options, a CD's name) do not part them.
fn words(line: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = line.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_whitespace()
    });
    parts.filter(|word| !word.is_empty()).collect()
}

fn paragraphs(path: &str, text: &str) -> Result<Vec<Repository>, ParseError> {
    let mut found = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    // The empty line at the end closes the last paragraph.
    for line in text.lines().chain([""]) {
        let bad = |what| ParseError::at(NAME_822, line, what);
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !fields.is_empty() {
                found.extend(paragraph(path, &std::mem::take(&mut fields))?);
            }
        } else if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut().ok_or_else(|| bad("a continuation of no field"))?;
            value.push(' ');
            value.push_str(line.trim());
        } else {
            let (key, value) = line.split_once(':').ok_or_else(|| bad("expected `FIELD: VALUE`"))?;
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(found)
}

/// One repository for each address and suite.
fn paragraph(path: &str, fields: &[(String, String)]) -> Result<Vec<Repository>, ParseError> {
    let value = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let list = |name: &str| value(name).map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let needed = |name: &str| {
        let list = list(name).filter(|list| !list.is_empty());
        list.ok_or_else(|| ParseError::missing(NAME_822, format!("a paragraph without {name}")))
    };
    // The words that apt takes for no.
    let off = ["no", "false", "without", "off", "disable", "0"];
    let enabled = value("enabled").is_none_or(|value| !off.contains(&value.to_ascii_lowercase().as_str()));
    if !enabled || !needed("types")?.iter().any(|kind| kind == "deb") {
        return Ok(vec![]);
    }
    let (uris, suites) = (needed("uris")?, needed("suites")?);
    let components = list("components").unwrap_or_default();
    let repository = |uri: &String, suite: &String| Repository {
        file: path.to_owned(),
        uri: uri.clone(),
        suite: suite.clone(),
        components: components.clone(),
    };
    let each = uris.iter().flat_map(|uri| suites.iter().map(move |suite| (uri, suite)));
    Ok(each.map(|(uri, suite)| repository(uri, suite)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> Vec<String> {
        let found = read(path, text).unwrap();
        assert!(found.iter().all(|repository| repository.file == path));
        found
            .iter()
            .map(|r| format!("{} {} {}", r.uri, r.suite, r.components.join("+")))
            .collect()
    }

    #[test]
    fn one_line_each() {
        let path = "/etc/apt/sources.list";
        assert_eq!(
            shown(path, fixture!("apt-sources/2.6.1/pve.list")),
            [
                "http://deb.debian.org/debian bookworm main+contrib",
                "http://security.debian.org bookworm-security main",
                "https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise",
            ]
        );
        assert_eq!(
            shown(
                path,
                "deb [ arch=amd64 trusted=yes ] cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main\n"
            ),
            ["cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main"]
        );
        assert_eq!(shown(path, "deb file:/srv/repo ./\n"), ["file:/srv/repo ./ "]);
    }

    #[test]
    fn paragraphs_with_all_their_suites() {
        let path = "/etc/apt/sources.list.d/debian.sources";
        assert_eq!(
            shown(path, fixture!("apt-sources/2.6.1/debian.sources")),
            [
                "http://deb.debian.org/debian bookworm main",
                "http://deb.debian.org/debian bookworm-updates main",
                "http://deb.debian.org/debian-security bookworm-security main",
            ]
        );
        let disabled = "Types: deb\nURIs: http://x\nSuites: s\nComponents: a\n b\nEnabled: ";
        assert_eq!(shown(path, &format!("{disabled}false\n")).len(), 0);
        assert_eq!(shown(path, &format!("{disabled}yes\n")), ["http://x s a+b"]);
        assert_eq!(shown(path, "Types: deb-src\nURIs: http://x\nSuites: s\n").len(), 0);
    }

    #[test]
    fn what_apt_would_refuse_is_an_error() {
        for text in ["dbe http://x s\n", "deb http://x\n", "deb\n"] {
            assert!(read("/etc/apt/sources.list", text).is_err(), "{text}");
        }
        for text in ["Types: deb\nURIs: http://x\n", "Suites s\n", " main\n", "URIs: x\n"] {
            assert!(read("/etc/apt/sources.list.d/x.sources", text).is_err(), "{text}");
        }
        assert!(is_read("pve.list") && is_read("pve.sources") && !is_read("pve.list.bak"));
    }
}
