//! SMART of all disks, a few at a time, each failing alone.

use std::time::Duration;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::disks::{Disk, Smart};
use quorate_tools::smartctl::{self, Answer};

use super::{sysfs, together};
use crate::host::{Host, complaint, text, unparsable};

/// How many disks are asked at the same time: enough that a dying one does not hold up the rest, few enough that a server
/// with a hundred does not start a hundred processes.
const AT_A_TIME: usize = 4;

/// How long an answer is good for those who accept a recent one: wear and temperature are slow.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// Asks every disk, but for those whose answer in `recent` is still good.
pub(super) async fn add(host: &Host, disks: &mut [Disk], recent: &[Disk]) {
    let now = host.now();
    for group in disks.chunks_mut(AT_A_TIME) {
        let mut asked = Vec::new();
        for disk in group {
            let earlier = recent.iter().find(|other| same(other, disk)).map(|other| &other.smart);
            match earlier {
                Some(answer) if answer.collected_at().is_some_and(|at| at.age(now) < GOOD_FOR) => {
                    disk.smart = answer.clone()
                }
                _ => asked.push(async move { disk.smart = ask(host, disk).await }),
            }
        }
        together(asked).await;
    }
}

/// Gives each disk the answer that it gave a moment ago; to one that was not there, none.
pub(super) fn carry_over(before: &[Disk], disks: &mut [Disk]) {
    for disk in disks {
        if let Some(earlier) = before.iter().find(|other| same(other, disk)) {
            disk.smart = earlier.smart.clone();
        }
    }
}

/// The same disk, not only the same path.
fn same(a: &Disk, b: &Disk) -> bool {
    (&a.path, &a.wwn, &a.serial, &a.model) == (&b.path, &b.wwn, &b.serial, &b.model)
}

async fn ask(host: &Host, disk: &Disk) -> Facet<Smart> {
    let name = disk.path.trim_start_matches("/dev/").replace('/', "!");
    if sysfs::is_virtual(host, &name) {
        return Facet::unknown(
            UnknownKind::NotAsked,
            "it is a device of the kernel's own making, without hardware",
        );
    }
    super::super::finished(host, answer(host, &disk.path).await)
}

async fn answer(host: &Host, path: &str) -> Result<Smart, Unknown> {
    let finished = host.run(smartctl::health(host.tools(), path)).await?;
    if finished.stdout.is_empty() {
        return Err(complaint(smartctl::NAME, &finished));
    }
    match smartctl::read(&text(smartctl::NAME, &finished)?).map_err(unparsable)? {
        Answer::Health(smart) => Ok(smart),
        Answer::Asleep => Err(Unknown::new(UnknownKind::NotAsked, "the disk sleeps and was not woken")),
        Answer::Refused(words) => Err(Unknown::new(UnknownKind::Failed, format!("smartctl: {words}"))),
    }
}
