//! Guests that run here and belong to another node: two of one guest. Files alone tell, so that it can be looked at all the time.

use quorate_model::facet::Unknown;
use quorate_model::observation::{Guest, GuestKind, Stray};
use quorate_tools::pve_config::guest_config;

use super::cluster::published;
use super::{guests, hostname, processes};
use crate::host::{Host, unparsable};

/// Looks for them. Processes are looked at before and after the list of guests: one that has ended or moved meanwhile is none.
pub(crate) async fn observe(host: &Host) -> Result<Vec<Stray>, Unknown> {
    let before = processes::all(host.root())?;
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let guests = guests::observe(host).await?;
    let own = hostname(host);
    let mut found = Vec::new();
    for process in before {
        let guest = guests.iter().find(|guest| guest.vmid == process.vmid);
        if let Some(guest) = guest {
            // Without a configuration there it has just moved, and is looked at again next time.
            if guest.node == own || is_moving(host, guest).await? != Some(false) {
                continue;
            }
        }
        found.push(Stray {
            vmid: process.vmid,
            kind: process.kind,
            pid: process.pid,
            owner: guest.map(|guest| guest.node.clone()),
        });
    }
    if !found.is_empty() {
        let still = processes::all(host.root())?;
        found.retain(|stray| {
            still
                .iter()
                .any(|process| process.vmid == stray.vmid && process.pid == stray.pid)
        });
        let guests = guests::observe(host).await?;
        found.retain(|stray| is_still(stray, &guests));
    }
    Ok(found)
}

/// Is it whose it was? One whose configuration has moved meanwhile, here or elsewhere, is looked at again next time.
fn is_still(stray: &Stray, guests: &[Guest]) -> bool {
    let now = guests.iter().find(|guest| guest.vmid == stray.vmid);
    now.map(|guest| &guest.node) == stray.owner.as_ref()
}

/// Is it in a migration, by its configuration? `None`: there is none where the list said. Both ends of a migration have its process while the configuration says so; it is the owner's until it is over. Source: qemu-server
/// QemuMigrate.pm.
///
/// # Errors
/// That can't be told: it can't be read, or makes no sense.
pub(crate) async fn is_moving(host: &Host, guest: &Guest) -> Result<Option<bool>, Unknown> {
    let folder = match guest.kind {
        GuestKind::Vm => "qemu-server",
        GuestKind::Container => "lxc",
    };
    let path = format!("/etc/pve/nodes/{}/{folder}/{}.conf", guest.node, guest.vmid);
    let Some(text) = published(host, &path).await? else {
        return Ok(None);
    };
    let config = guest_config::read(guest.kind, &text).map_err(unparsable)?;
    Ok(Some(config.lock.as_deref() == Some("migrate")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, fixture, member};
    use super::*;

    fn cmdline(vmid: u32) -> String {
        fixture!("qemu-process/pve-9/cmdline.out").replace("100.pid", &format!("{vmid}.pid"))
    }

    /// On prox1 of three; 100 and 101 belong to others, by the list.
    fn fake() -> Fake {
        let fake = Fake::new();
        member(&fake);
        fake.put("/run/qemu-server/100.pid", "4711\n");
        fake.put("/run/qemu-server/100.qmp", "");
        fake
    }

    #[tokio::test]
    async fn a_process_whose_guest_belongs_to_another_node_is_a_stray() {
        let fake = fake();
        assert_eq!(
            observe(&fake.bare()).await,
            Ok(vec![]),
            "the pid file is of a process that is gone"
        );
        fake.put("/proc/4711/cmdline", "/usr/sbin/sshd\0-D\0");
        assert_eq!(
            observe(&fake.bare()).await,
            Ok(vec![]),
            "its number is another's by now"
        );
        fake.put("/proc/4711/cmdline", &cmdline(100));
        let list = |node: &str| {
            format!("{{\"version\":1,\"ids\":{{\"100\":{{\"node\":\"{node}\",\"type\":\"qemu\",\"version\":1}}}}}}")
        };
        fake.put("/etc/pve/.vmlist", &list("prox1"));
        assert_eq!(observe(&fake.bare()).await, Ok(vec![]), "it is our own");
        fake.put("/etc/pve/.vmlist", &list("prox2"));
        assert_eq!(
            observe(&fake.bare()).await,
            Ok(vec![]),
            "its configuration has just moved away from there"
        );
        fake.put("/etc/pve/nodes/prox2/qemu-server/100.conf", "memory: 512\n");
        let stray = Stray {
            vmid: 100,
            kind: GuestKind::Vm,
            pid: Some(4711),
            owner: Some("prox2".to_owned()),
        };
        assert_eq!(observe(&fake.bare()).await, Ok(vec![stray.clone()]));
        fake.put(
            "/etc/pve/nodes/prox2/qemu-server/100.conf",
            "memory: 512\nlock: migrate\n",
        );
        assert_eq!(observe(&fake.bare()).await, Ok(vec![]), "it is being migrated");
        fake.put("/etc/pve/nodes/prox2/qemu-server/100.conf", "memory: 512\n");
        fake.put("/proc/net/unix", fixture!("proc/6.18/unix.out"));
        let container = Stray {
            vmid: 101,
            kind: GuestKind::Container,
            pid: None,
            owner: None,
        };
        assert_eq!(observe(&fake.bare()).await, Ok(vec![stray, container]));
    }

    #[test]
    fn one_whose_configuration_has_moved_meanwhile_is_none() {
        let of = |node: &str| Guest {
            vmid: 100,
            node: node.to_owned(),
            kind: GuestKind::Vm,
        };
        let stray = |owner: Option<&str>| Stray {
            vmid: 100,
            kind: GuestKind::Vm,
            pid: Some(4711),
            owner: owner.map(str::to_owned),
        };
        assert!(is_still(&stray(Some("prox2")), &[of("prox2")]) && is_still(&stray(None), &[]));
        for now in [of("prox1"), of("prox3")] {
            assert!(!is_still(&stray(Some("prox2")), std::slice::from_ref(&now)) && !is_still(&stray(None), &[now]));
        }
        assert!(!is_still(&stray(Some("prox2")), &[]));
    }

    #[tokio::test]
    async fn what_can_not_be_read_is_unknown() {
        let fake = fake();
        fake.put("/proc/4711/cmdline", &cmdline(100));
        let list = "{\"version\":1,\"ids\":{\"100\":{\"node\":\"prox2\",\"type\":\"qemu\",\"version\":1}}}";
        fake.put("/etc/pve/.vmlist", list);
        fake.put(
            "/etc/pve/nodes/prox2/qemu-server/100.conf",
            "memory: plenty\nlock: migrate\n",
        );
        assert!(observe(&fake.bare()).await.is_err());
        fake.put("/etc/pve/.vmlist", "{");
        assert!(observe(&fake.bare()).await.is_err());
        let fake = Fake::new();
        assert_eq!(observe(&fake.bare()).await, Ok(vec![]), "a server without PVE has none");
        fake.put("/run/qemu-server/100.pid", "soon");
        assert!(observe(&fake.bare()).await.is_err());
    }
}
