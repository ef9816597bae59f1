//! The table of PVE's releases is obeyed: whatever it says of a release is what a plan for servers of that release does.

use quorate_model::releases::{Knowledge, RELEASES, knowledge};
use quorate_model::{Code, Severity};

use super::sound;
use crate::testkit::{Servers, file, known};

const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

#[test]
fn a_plan_does_what_the_table_of_releases_says() {
    let mut seen = Vec::new();
    for (major, minor) in (7..=10).flat_map(|major| (0..=6).map(move |minor| (major, minor))) {
        let manager = format!("{major}.{minor}.1");
        let servers = ["prox1", "prox2", "prox3"]
            .iter()
            .fold(Servers::bare(3), |servers, node| {
                servers.with_system(node, |s| {
                    known(&mut s.pve).as_mut().unwrap().manager.clone_from(&manager);
                })
            });
        let mut version = None;
        let servers = servers.with_system("prox1", |s| version = known(&mut s.pve).clone());
        let expected = knowledge(&version.unwrap());
        let plan = sound(&file(3, BOTH), &servers);
        let told: Vec<_> = plan
            .findings
            .iter()
            .filter(|finding| finding.code == Code::VersionUntested)
            .map(|finding| (finding.severity, finding.subject.as_str()))
            .collect();
        let refused = plan.findings.iter().any(quorate_model::Finding::refuses);
        match expected {
            Knowledge::Captured => assert_eq!((told.as_slice(), refused), (&[][..], false), "{manager}"),
            Knowledge::ReadFromSource => {
                assert_eq!(
                    (told.as_slice(), refused),
                    (&[(Severity::Note, "")][..], false),
                    "{manager}"
                );
            }
            Knowledge::Unknown => {
                let each = ["prox1", "prox2", "prox3"].map(|node| (Severity::Refusal, node));
                assert_eq!((told.as_slice(), refused), (&each[..], true), "{manager}");
            }
        }
        seen.push(expected);
    }
    // All that the table has were met, and nothing else is taken for known.
    let rows: u32 = RELEASES.iter().map(|r| r.minors.1 - r.minors.0 + 1).sum();
    let met = seen
        .iter()
        .filter(|knowledge| **knowledge != Knowledge::Unknown)
        .count();
    assert_eq!(u32::try_from(met), Ok(rows));
}
