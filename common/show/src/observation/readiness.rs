//! Services, packages, free space, keys.

use std::collections::BTreeMap;

use quorate_model::Facet;
use quorate_model::observation::Readiness;
use quorate_model::observation::readiness::{PackageState, ServiceState};

use super::ha::service;
use crate::table::{or_dash, table};

pub(super) fn readiness(readiness: &Readiness) -> String {
    let mut text = services(&readiness.services);
    match readiness.packages.get() {
        Ok(packages) => text.push_str(&format!("\n{}", table_of(packages))),
        Err(unknown) => text.push_str(&format!("packages {unknown}\n")),
    }
    let mut line = |shown: String| {
        text.push_str(&shown);
        text.push('\n');
    };
    line(String::new());
    match readiness.updates.get() {
        Ok(0) => line("no updates, as of apt's last look".to_owned()),
        Ok(1) => line("1 package can be updated".to_owned()),
        Ok(number) => line(format!("{number} packages can be updated")),
        Err(unknown) => line(format!("updates {unknown}")),
    }
    match readiness.repositories.get() {
        Ok(all) => all
            .iter()
            .for_each(|r| line(format!("repository {} {} {}", r.uri, r.suite, r.components.join(" ")))),
        Err(unknown) => line(format!("repositories {unknown}")),
    }
    for (path, free) in &readiness.free {
        line(match free.get() {
            Ok(free) => format!("{} free in {path}", free.binary()),
            Err(unknown) => format!("free space in {path} {unknown}"),
        });
    }
    line(match readiness.root_key.get() {
        Ok(Some(key)) => format!("root's key: {}", kind(key.as_str())),
        Ok(None) => "root has no key".to_owned(),
        Err(unknown) => format!("root's key {unknown}"),
    });
    line(match readiness.host_keys.get() {
        Ok(keys) if keys.is_empty() => "sshd has no keys".to_owned(),
        Ok(keys) => format!(
            "sshd's keys: {}",
            keys.iter().map(|key| kind(key.as_str())).collect::<Vec<_>>().join(", ")
        ),
        Err(unknown) => format!("sshd's keys {unknown}"),
    });
    match readiness.admitted.get() {
        Ok(all) => all
            .iter()
            .for_each(|a| line(format!("a key of cluster {} is let in until {}", a.cluster, a.until))),
        Err(unknown) => line(format!("keys of clusters that are let in {unknown}")),
    }
    text
}

/// The type of a key; the key itself says nothing to people.
fn kind(key: &str) -> String {
    key.split(' ').next().unwrap_or_default().to_owned()
}

/// Units that are not installed are left out: most hosts lack one or the other. What keeps all of them unknown is said once.
fn services(services: &BTreeMap<String, Facet<ServiceState>>) -> String {
    let mut reasons = services.values().map(|state| state.get().err());
    if let Some(Some(first)) = reasons.next()
        && reasons.all(|reason| reason == Some(first))
    {
        return format!("services {first}\n");
    }
    let there = services
        .iter()
        .filter(|(_, state)| state.get().map_or(true, ServiceState::is_installed));
    let rows: Vec<Vec<String>> = there
        .map(|(unit, state)| {
            let boot = state.get().map_or("-", |state| state.enabled.as_str());
            vec![unit.clone(), service(state), or_dash(Some(boot))]
        })
        .collect();
    table(&["SERVICE", "STATE", "AT BOOT"], &rows)
}

fn table_of(packages: &BTreeMap<String, PackageState>) -> String {
    let row = |(name, state): (&String, &PackageState)| {
        let candidate = match &state.candidate {
            Some(_) if state.candidate == state.installed => Some("the same"),
            candidate => candidate.as_deref(),
        };
        vec![name.clone(), or_dash(state.installed.as_deref()), or_dash(candidate)]
    };
    let rows: Vec<Vec<String>> = packages.iter().map(row).collect();
    table(&["PACKAGE", "INSTALLED", "APT HAS"], &rows)
}
