//! The repositories that a server's files name, as they lie there now: the product or a test may have changed them.

use std::fs;
use std::path::Path;

use crate::world::server::Server;

/// One suite of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suite: String,
}

impl Source {
    /// Asks for a login that only a subscription gives.
    pub(super) fn is_enterprise(&self) -> bool {
        self.uri.contains("enterprise.proxmox.com")
    }

    pub(super) fn is_debian(&self) -> bool {
        self.uri.contains("debian.org")
    }
}

pub(super) fn of(server: &Server) -> Vec<Source> {
    let apt = server.root.join("etc/apt");
    let mut found = Vec::new();
    one_line(&apt.join("sources.list"), &mut found);
    let mut files: Vec<_> = fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("list") => one_line(&file, &mut found),
            Some("sources") => deb822(&file, &mut found),
            _ => {}
        }
    }
    found
}

/// Has the server a subscription? Then its key lies here.
pub(super) fn subscribed(server: &Server) -> bool {
    server.root.join("etc/subscription").exists()
}

fn one_line(file: &Path, found: &mut Vec<Source>) {
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if words.next() != Some("deb") {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with('['));
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            found.push(Source {
                uri: uri.trim_end_matches('/').to_owned(),
                suite: suite.to_owned(),
            });
        }
    }
}

fn deb822(file: &Path, found: &mut Vec<Source>) {
    for stanza in fs::read_to_string(file).unwrap_or_default().split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        if field("Enabled")
            .first()
            .is_some_and(|word| word == "no" || word == "false")
        {
            continue;
        }
        for uri in field("URIs") {
            for suite in field("Suites") {
                found.push(Source {
                    uri: uri.trim_end_matches('/').to_owned(),
                    suite,
                });
            }
        }
    }
}
