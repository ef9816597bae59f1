//! A server's software: what is installed, and what apt would install.

use std::collections::BTreeMap;

use crate::description::{Role, ServerSpec};

/// The packages that anybody asks for.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    pub(crate) list: BTreeMap<String, Package>,
    /// Another process holds the locks: its process id.
    pub(crate) locked_by: Option<u32>,
    pub(crate) unreachable: bool,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) installed: Option<String>,
    pub(crate) candidate: Option<String>,
    /// Removed, configuration left.
    pub(crate) residual: bool,
    /// Comes from PVE's repository, not from Debian's.
    pub(crate) proxmox: bool,
}

/// Packages that installing one brings along, in the order in which apt unpacks them.
pub(crate) fn brings(name: &str) -> &'static [&'static str] {
    match name {
        "corosync-qdevice" | "corosync-qnetd" => &["libnss3-tools"],
        _ => &[],
    }
}

/// Host tools that come with a package that is not there from the start.
pub(crate) fn tools(name: &str) -> &'static [&'static str] {
    match name {
        "corosync-qdevice" => &["corosync-qdevice-tool"],
        "corosync-qnetd" => &["corosync-qnetd-tool"],
        _ => &[],
    }
}

impl Packages {
    /// What lies on a freshly installed host.
    pub(crate) fn of(spec: &ServerSpec) -> Self {
        let newer = spec.major() >= 9;
        let mut packages = Self::default();
        let debian = if newer { DEBIAN_13 } else { DEBIAN_12 };
        for (name, version) in debian {
            packages.put(name, Some(version), version, false);
        }
        let absent = if newer { ABSENT_13 } else { ABSENT_12 };
        for (name, version) in absent {
            packages.put(name, None, version, false);
        }
        if spec.role == Role::Pve {
            for (name, version) in pve(newer) {
                packages.put(name, Some(version), version, true);
            }
            packages.put("pve-manager", Some(&spec.pve_version), &spec.pve_version, true);
        }
        packages
    }

    fn put(&mut self, name: &str, installed: Option<&str>, candidate: &str, proxmox: bool) {
        self.list.insert(
            name.to_owned(),
            Package {
                installed: installed.map(str::to_owned),
                candidate: Some(candidate.to_owned()),
                residual: false,
                proxmox,
            },
        );
    }

    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        self.list.get(name)?.installed.as_deref()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.version(name).is_some()
    }

    /// Packages that have an update, by name.
    pub(crate) fn updates(&self) -> Vec<(&str, &Package)> {
        self.list
            .iter()
            .filter(|(_, package)| {
                package.installed.is_some() && package.candidate.is_some() && package.installed != package.candidate
            })
            .map(|(name, package)| (name.as_str(), package))
            .collect()
    }
}

/// PVE's own packages, as `pveversion -v` lists them: by name.
pub(crate) fn pve(newer: bool) -> &'static [(&'static str, &'static str)] {
    if newer { TRIXIE } else { BOOKWORM }
}

const BOOKWORM: &[(&str, &str)] = &[
    ("ceph-fuse", "17.2.7-pve3"),
    ("corosync", "3.1.7-pve3"),
    ("libpve-access-control", "8.2.3"),
    ("libpve-cluster-perl", "8.1.3"),
    ("libpve-common-perl", "8.3.8"),
    ("libpve-storage-perl", "8.3.8"),
    ("pve-cluster", "8.1.3"),
    ("pve-container", "5.3.5"),
    ("pve-firewall", "5.1.2"),
    ("pve-ha-manager", "4.0.7"),
    ("qemu-server", "8.4.10"),
    ("smartmontools", "7.3-pve1"),
    ("zfsutils-linux", "2.2.7-pve2"),
];

const TRIXIE: &[(&str, &str)] = &[
    ("ceph-fuse", "19.2.3-pve1"),
    ("corosync", "3.1.9-pve2"),
    ("libpve-access-control", "9.1.1"),
    ("libpve-cluster-perl", "9.1.6"),
    ("libpve-common-perl", "9.2.1"),
    ("libpve-storage-perl", "9.1.7"),
    ("pve-cluster", "9.1.6"),
    ("pve-container", "6.0.9"),
    ("pve-firewall", "6.0.4"),
    ("pve-ha-manager", "5.0.4"),
    ("qemu-server", "9.0.19"),
    ("smartmontools", "7.4-pve1"),
    ("zfsutils-linux", "2.3.4-pve1"),
];

const DEBIAN_12: &[(&str, &str)] = &[
    ("bash", "5.2.15-2+b8"),
    ("chrony", "4.3-2+deb12u1"),
    ("coreutils", "9.1-1"),
    ("ifupdown2", "3.2.0-1+pmx11"),
    ("iproute2", "6.1.0-3"),
    ("lvm2", "2.03.16-2"),
    ("openssh-server", "1:9.2p1-2+deb12u5"),
    ("sg3-utils", "1.46-3"),
    ("util-linux", "2.38.1-5+deb12u3"),
];

const DEBIAN_13: &[(&str, &str)] = &[
    ("bash", "5.2.37-2+b5"),
    ("chrony", "4.6.1-3"),
    ("coreutils", "9.7-3"),
    ("ifupdown2", "3.3.0-1+pmx10"),
    ("iproute2", "6.15.0-1"),
    ("lvm2", "2.03.31-2"),
    ("openssh-server", "1:10.0p1-7"),
    ("sg3-utils", "1.48-3"),
    ("util-linux", "2.41-5"),
];

const ABSENT_12: &[(&str, &str)] = &[
    ("corosync-qdevice", "3.0.3-1"),
    ("corosync-qnetd", "3.0.3-1"),
    ("libnss3-tools", "2:3.87.1-1+deb12u1"),
];

const ABSENT_13: &[(&str, &str)] = &[
    ("corosync-qdevice", "3.0.3-1+b3"),
    ("corosync-qnetd", "3.0.3-1+b3"),
    ("libnss3-tools", "2:3.110-1"),
];
