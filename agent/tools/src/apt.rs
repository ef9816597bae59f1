//! `apt-get`: what could be upgraded, and `install` without a question and without what is only recommended.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::operation::Package;
use quorate_model::{Code, Finding};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "apt-get";

/// A simulation computes for a second, and reads all lists from the disk.
const SIMULATION_WITHIN: Duration = Duration::from_secs(20);

/// Lists on this many servers' disks: one line for each package twice.
const MOST_OUTPUT: usize = 4 << 20;

/// Simulates `dist-upgrade`, as of the last update. Takes no lock, so that it neither fails beside another apt nor keeps one waiting.
///
/// # Errors
/// When apt-get is not installed.
pub fn simulate_upgrade(tools: &Tools) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["-s", "-o", "Debug::NoLocking=1", "dist-upgrade"]);
    Ok(call.deadline(SIMULATION_WITHIN).output_cap(MOST_OUTPUT).build()?)
}

/// How many packages the simulation would install or raise.
///
/// # Errors
/// When the line is missing that apt ends its announcement with, or tells another number.
pub fn read_upgrade(stdout: &str) -> Result<u32, ParseError> {
    let summary = stdout
        .lines()
        .find(|line| line.contains(" upgraded, ") && line.contains(" newly installed, "))
        .ok_or_else(|| ParseError::missing(NAME, "the line `N upgraded, …` is missing"))?;
    let numbers: Vec<u32> = summary
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let announced = numbers
        .iter()
        .take(2)
        .fold(0_u32, |sum, number| sum.saturating_add(*number));
    let simulated = stdout.lines().filter(|line| line.starts_with("Inst ")).count();
    if u32::try_from(simulated) == Ok(announced) {
        Ok(announced)
    } else {
        let reason = format!("{simulated} lines `Inst …` do not fit");
        Err(ParseError::at(NAME, summary, reason))
    }
}

/// Installs packages. Configuration that somebody has changed stays as it is.
///
/// # Errors
/// When apt-get is not installed.
pub fn install(tools: &Tools, packages: &BTreeSet<Package>) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args([
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
        "--",
    ]);
    let call = call.args(packages.iter().map(|package| package.as_str()));
    Ok(call.env("DEBIAN_FRONTEND", "noninteractive").build()?)
}

/// A few packages of some hundred kB each; beside it, an observation may take 30 s.
const FETCH_WITHIN: Duration = Duration::from_secs(25);

/// Fetches packages, and what they need, into apt's cache, and installs nothing: the only proof that they can be fetched. A list says
/// what a server had when it was last asked, and no more.
///
/// # Errors
/// When apt-get is not installed.
pub fn fetch(tools: &Tools, packages: &BTreeSet<Package>) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args([
        "-y",
        "--no-install-recommends",
        "--download-only",
        "-o",
        "Acquire::Retries=0",
        "install",
        "--",
    ]);
    let call = call.args(packages.iter().map(|package| package.as_str()));
    // It writes apt's cache, and locks dpkg.
    let call = call.env("DEBIAN_FRONTEND", "noninteractive").on_host();
    Ok(call.deadline(FETCH_WITHIN).output_cap(MOST_OUTPUT).build()?)
}

/// Why apt did not install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its own words: all lines that begin with `E:`.
    pub text: String,
    /// Another apt or dpkg is at work.
    pub locked: bool,
}

impl Trouble {
    /// As a finding about a node.
    #[must_use]
    pub fn finding(&self, node: &str) -> Finding {
        let next = if self.locked {
            "another apt or dpkg is at work there: when it is done, apply again"
        } else {
            "on the node: apt-get update; then check its repositories (without a subscription the enterprise one refuses), and apply again"
        };
        Finding::new(Code::StepFailed, node, format!("apt-get said: {}", self.text), next)
    }
}

/// What apt complains about, if it does. `W:` lines are no obstacles.
#[must_use]
pub fn read_install(_stdout: &str, stderr: &str) -> Option<Trouble> {
    let errors: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    (!errors.is_empty()).then(|| Trouble {
        text: errors.join("; "),
        locked: errors.iter().any(|line| line.starts_with("Could not get lock ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_asks_nothing_and_takes_nothing_more() {
        let call = install(&Tools::imagined(), &BTreeSet::from([Package::CorosyncQdevice])).unwrap();
        assert_eq!(
            call.to_string(),
            "/usr/bin/apt-get -y --no-install-recommends -o Dpkg::Options::=--force-confold install -- corosync-qdevice"
        );
        assert_eq!(
            call.command().env().get("DEBIAN_FRONTEND").map(String::as_str),
            Some("noninteractive")
        );
    }

    #[test]
    fn a_fetch_installs_nothing() {
        let call = fetch(&Tools::imagined(), &BTreeSet::from([Package::CorosyncQnetd])).unwrap();
        assert_eq!(
            call.to_string(),
            "/usr/bin/apt-get -y --no-install-recommends --download-only -o Acquire::Retries=0 install -- corosync-qnetd"
        );
        let refused = "E: Failed to fetch https://enterprise.proxmox.com/x.deb  401  Unauthorized [IP: 51.91.38.34 443]\n\
                       E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n";
        assert!(read_install("", refused).unwrap().text.contains("401  Unauthorized"));
    }

    #[test]
    fn upgrades_are_counted() {
        assert_eq!(
            simulate_upgrade(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/apt-get -s -o Debug::NoLocking=1 dist-upgrade"
        );
        let text = fixture!("apt-get/2.6.1/dist-upgrade.out");
        assert_eq!(read_upgrade(text).unwrap(), 4);
        let none = "Calculating upgrade...\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n";
        assert_eq!(read_upgrade(none).unwrap(), 0);
        assert!(read_upgrade("").is_err());
        let cut: String = text.lines().take(12).map(|line| format!("{line}\n")).collect();
        assert!(read_upgrade(&cut).is_err(), "{cut}");
    }

    #[test]
    fn what_apt_complains_about_is_told_in_its_words() {
        let missing = read_install("", "E: Unable to locate package corosync-qdevice\n").unwrap();
        assert_eq!(missing.text, "Unable to locate package corosync-qdevice");
        assert!(!missing.locked);
        let locked = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt)\n\
                      E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n";
        assert!(read_install("", locked).unwrap().locked);
        assert_eq!(
            read_install("", "W: Target Packages is configured multiple times\n"),
            None
        );
    }
}
