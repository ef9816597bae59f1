//! What is said of vdevs on a command line, and what zpool refuses of it before it touches a disk. Source: OpenZFS 2.1
//! zpool_vdev.c (`make_root_vdev`): paths and numbers of disks, then what is on each disk, then how vdevs fit together.

use crate::description::DiskSpec;
use crate::roots::disks::partition_name;
use crate::world::server::Server;
use crate::world::zfs::disks::{self, Holds, first_partition, usable, whole_at};
use crate::world::zfs::{Class, Kind, Leaf, Pool, Vdev};

/// zpool takes sizes for equal that differ by less.
const FUZZ: u64 = 16 << 20;

/// One vdev that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Spec<'a> {
    pub(super) class: Class,
    pub(super) kind: Kind,
    pub(super) paths: Vec<&'a str>,
}

/// A device that passed, and the path that it was given by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'s, 'a> {
    pub(super) disk: &'s DiskSpec,
    pub(super) part: Option<u32>,
    pub(super) path: &'a str,
}

/// What zpool says where the kernel does not find a new partition in time. Source: seen live of `zpool replace`, in a virtual machine
/// whose processors and disk were saturated; the text is the one for ENOENT (libzfs_util.c, `zfs_standard_error`).
pub(super) const LINK_IS_AWAY: &str = "no such pool or dataset";

/// One of the disks that are to be partitioned is one whose partition's link comes late.
pub(super) fn a_link_comes_late(taken: &[Taken<'_, '_>]) -> bool {
    taken
        .iter()
        .any(|device| device.part.is_none() && device.disk.link_comes_late)
}

/// `mirror A B log C`. Nothing if there is nothing.
pub(super) fn read<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<Spec<'a>>> {
    let mut specs: Vec<Spec<'a>> = Vec::new();
    let mut class = Class::Data;
    let mut kind = Kind::Disk;
    for word in words {
        let of_class = match word {
            "log" => Some(Class::Log),
            "cache" => Some(Class::Cache),
            "spare" => Some(Class::Spare),
            "special" => Some(Class::Special),
            "dedup" => Some(Class::Dedup),
            _ => None,
        };
        if let Some(of_class) = of_class {
            (class, kind) = (of_class, Kind::Disk);
        } else if let Some(of_kind) = Kind::of(word) {
            kind = of_kind;
            specs.push(Spec {
                class,
                kind,
                paths: Vec::new(),
            });
        } else {
            match specs.last_mut().filter(|_| kind != Kind::Disk) {
                Some(spec) => spec.paths.push(word),
                None => specs.push(Spec {
                    class,
                    kind,
                    paths: vec![word],
                }),
            }
        }
    }
    (!specs.is_empty()).then_some(specs)
}

/// All disks of a specification, in its order, or the text with which it is refused. `pool`: that it is added to, whose spares
/// may be taken (`replacing`).
pub(super) fn devices<'s, 'a>(
    server: &'s Server,
    specs: &[Spec<'a>],
    force: bool,
    replacing: Option<&Pool>,
) -> Result<Vec<Taken<'s, 'a>>, String> {
    let mut taken = Vec::new();
    for spec in specs {
        for path in &spec.paths {
            taken.push(resolve(server, path)?);
        }
        if spec.paths.len() < spec.kind.fewest() {
            return Err(format!(
                "invalid vdev specification: {} requires at least {} devices\n",
                spec.kind.word(),
                spec.kind.fewest()
            ));
        }
    }
    let mut complaints = Complaints::new(force);
    let spares: Vec<&Leaf> = replacing
        .iter()
        .flat_map(|pool| &pool.vdevs)
        .filter(|vdev| vdev.class == Class::Spare)
        .flat_map(|vdev| &vdev.leaves)
        .collect();
    for device in &taken {
        if spares.iter().any(|spare| spare.is(device.path)) {
            continue;
        }
        match device.part {
            None => whole_disk(server, device, &mut complaints),
            Some(number) => {
                let part = device.disk.partitions.iter().find(|part| part.number == number);
                complaints.of_partition(server, part, device.path);
            }
        }
    }
    complaints.end().map(|()| taken)
}

fn resolve<'s, 'a>(server: &'s Server, path: &'a str) -> Result<Taken<'s, 'a>, String> {
    let full = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/dev/{path}")
    };
    match disks::at(&server.disks, &full) {
        Some((disk, part)) => Ok(Taken { disk, part, path }),
        None if path.starts_with('/') => Err(format!("cannot resolve path '{path}'\n")),
        None => Err(format!(
            "cannot open '{path}': no such device in /dev\nmust be a full path or shorthand device name\n"
        )),
    }
}

fn whole_disk(server: &Server, device: &Taken<'_, '_>, complaints: &mut Complaints) {
    let Taken { disk, path, .. } = device;
    let mounted = disk
        .partitions
        .iter()
        .find(|part| part.mountpoint.is_some() || part.volumes.iter().any(|volume| volume.mountpoint.is_some()));
    if let Some(part) = mounted {
        // What blkid says of the device itself, as it could not be opened.
        let fstype = disk.fstype.as_deref().or(part.fstype.as_deref()).unwrap_or("unknown");
        complaints.say(format!("{path} is in use and contains a {fstype} filesystem.\n"));
        return;
    }
    if disks::in_use(server, disk) {
        complaints.say(format!("{path} is in use and contains a unknown filesystem.\n"));
        return;
    }
    if disk.pttype.is_none() {
        complaints.of_filesystem(disk.fstype.as_deref(), path);
        return;
    }
    for part in &disk.partitions {
        let path = if path.starts_with("/dev/disk/") {
            format!("{path}-part{}", part.number)
        } else {
            format!("/dev/{}", partition_name(disk, part.number))
        };
        complaints.of_partition(server, Some(part), &path);
    }
}

/// What stands against taking devices. Some of it -f overrides; the heading is printed once.
struct Complaints {
    force: bool,
    headed: bool,
    text: String,
}

impl Complaints {
    fn new(force: bool) -> Self {
        Self {
            force,
            headed: false,
            text: String::new(),
        }
    }

    fn end(self) -> Result<(), String> {
        if self.text.is_empty() { Ok(()) } else { Err(self.text) }
    }

    /// What needs no heading.
    fn say(&mut self, text: String) {
        self.text.push_str(&text);
    }

    fn add(&mut self, line: &str) {
        if !self.headed {
            self.headed = true;
            self.text.push_str("invalid vdev specification\n");
            self.text.push_str(if self.force {
                "the following errors must be manually repaired:\n"
            } else {
                "use '-f' to override the following errors:\n"
            });
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn of_filesystem(&mut self, fstype: Option<&str>, path: &str) {
        if let Some(fstype) = fstype.filter(|_| !self.force) {
            self.add(&format!("{path} contains a filesystem of type '{fstype}'"));
        }
    }

    fn of_partition(&mut self, server: &Server, part: Option<&crate::description::PartitionSpec>, path: &str) {
        let Some(part) = part else { return };
        if part.fstype.as_deref() != Some(disks::MEMBER) {
            self.of_filesystem(part.fstype.as_deref(), path);
            return;
        }
        let holds = disks::holds(server, part);
        let overridden = self.force && matches!(holds, Holds::Exported | Holds::PotentiallyActive);
        if holds == Holds::Nothing || overridden {
            return;
        }
        let pool = part.label.as_deref().unwrap_or_default();
        self.add(&match holds {
            Holds::Spare => format!("{path} is reserved as a hot spare for pool {pool}"),
            _ => format!("{path} is part of {} pool '{pool}'", holds.word()),
        });
    }
}

/// The vdevs, of disks that passed.
pub(super) fn vdevs(specs: &[Spec<'_>], taken: &[Taken<'_, '_>]) -> Vec<Vdev> {
    let mut taken = taken.iter();
    let vdevs = specs.iter().map(|spec| Vdev {
        class: spec.class,
        kind: spec.kind,
        leaves: taken.by_ref().take(spec.paths.len()).map(leaf).collect(),
    });
    vdevs.collect()
}

/// A fresh member on that device.
pub(super) fn leaf(device: &Taken<'_, '_>) -> Leaf {
    let Taken { disk, part, path } = device;
    let name = disk.name.clone();
    match part {
        None if path.starts_with('/') => Leaf::new(first_partition(disk, path), name, usable(disk)),
        None => Leaf::new(first_partition(disk, &format!("/dev/{path}")), name, usable(disk)),
        Some(number) => {
            let size = disk.partitions.iter().find(|part| part.number == *number);
            Leaf::new((*path).to_owned(), name, size.map_or(0, |part| part.size))
        }
    }
}

/// How much a vdev can lose, as zpool compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    kind: Kind,
    disks: usize,
}

impl Level {
    fn word(self) -> &'static str {
        match self.kind {
            Kind::Disk => "disk",
            Kind::Mirror => "mirror",
            Kind::Raidz(_) => "raidz",
            Kind::Draid(_) => "draid",
        }
    }

    /// Of raidz.
    fn parity(self) -> usize {
        match self.kind {
            Kind::Raidz(parity) | Kind::Draid(parity) => usize::from(parity),
            Kind::Mirror => self.disks.saturating_sub(1),
            Kind::Disk => 0,
        }
    }

    fn mirrored(self) -> bool {
        self.kind == Kind::Mirror
    }

    fn has_parity(self) -> bool {
        matches!(self.kind, Kind::Raidz(_) | Kind::Draid(_))
    }
}

/// What zpool has against vdevs that do not fit together, or not to a pool's own.
pub(super) fn mismatch(server: &Server, specs: &[Spec<'_>], pool: Option<&Pool>) -> Option<String> {
    let counts = |class| !matches!(class, Class::Log | Class::Cache | Class::Spare);
    let specs: Vec<&Spec<'_>> = specs.iter().filter(|spec| counts(spec.class)).collect();
    let heading = "invalid vdev specification\nuse '-f' to override the following errors:\n";
    let unequal = specs.iter().find(|spec| {
        let mut sizes = spec
            .paths
            .iter()
            .filter_map(|path| whole_at(&server.disks, path))
            .map(|disk| disk.size);
        let first = sizes.next().unwrap_or_default();
        spec.kind != Kind::Disk && sizes.any(|size| size.abs_diff(first) > FUZZ)
    });
    if let Some(spec) = unequal {
        let word = Level {
            kind: spec.kind,
            disks: spec.paths.len(),
        };
        return Some(format!(
            "{heading}{} contains devices of different sizes\n",
            word.word()
        ));
    }
    let levels: Vec<Level> = specs
        .iter()
        .map(|spec| Level {
            kind: spec.kind,
            disks: spec.paths.len(),
        })
        .collect();
    let (first, rest) = levels.split_first()?;
    let within = rest.iter().find_map(|level| differ(*first, *level));
    if let Some(text) = within {
        return Some(format!("{heading}mismatched replication level: {}\n", text.both()));
    }
    let of_pool = pool?.vdevs.iter().filter(|vdev| counts(vdev.class)).map(|vdev| Level {
        kind: vdev.kind,
        disks: vdev.leaves.len(),
    });
    let of_pool: Vec<Level> = of_pool.collect();
    let (own, others) = of_pool.split_first()?;
    if others.iter().any(|level| differ(*own, *level).is_some()) {
        return None;
    }
    let text = differ(*own, *first)?;
    Some(format!(
        "{heading}mismatched replication level: {}\n",
        text.pool_and_new()
    ))
}

/// How two vdevs differ.
enum Differ {
    Kind(&'static str, &'static str),
    /// A mirror beside parity.
    Redundancy(Level, Level),
    Parity(usize, usize, &'static str),
    Ways(usize, usize, &'static str),
}

fn differ(one: Level, other: Level) -> Option<Differ> {
    if (one.has_parity() && other.mirrored()) || (one.mirrored() && other.has_parity()) {
        return (one.parity() != other.parity()).then_some(Differ::Redundancy(one, other));
    }
    if one.word() != other.word() {
        return Some(Differ::Kind(one.word(), other.word()));
    }
    if one.has_parity() && one.parity() != other.parity() {
        return Some(Differ::Parity(one.parity(), other.parity(), one.word()));
    }
    (one.disks != other.disks).then_some(Differ::Ways(one.disks, other.disks, one.word()))
}

/// Captured: that of a mirror and a disk. The others are from zpool_vdev.c.
impl Differ {
    fn both(&self) -> String {
        match self {
            Self::Kind(one, other) => format!("both {one} and {other} vdevs are present"),
            Self::Redundancy(..) => format!("{} are present", self.redundancy()),
            Self::Parity(one, other, word) => format!("both {one} and {other} device parity {word} vdevs are present"),
            Self::Ways(one, other, word) => format!("both {one}-way and {other}-way {word} vdevs are present"),
        }
    }

    fn pool_and_new(&self) -> String {
        match self {
            Self::Kind(one, other) => format!("pool uses {one} and new vdev is {other}"),
            Self::Redundancy(..) => format!("pool and new vdev with different redundancy, {}", self.redundancy()),
            Self::Parity(one, other, _) => {
                format!("pool uses {one} device parity and new vdev uses {other}")
            }
            Self::Ways(one, other, word) => {
                format!("pool uses {one}-way {word} and new vdev uses {other}-way {word}")
            }
        }
    }

    fn redundancy(&self) -> String {
        let Self::Redundancy(one, other) = self else {
            return String::new();
        };
        let (parity, mirror) = if one.mirrored() { (other, one) } else { (one, other) };
        let (left, right) = (parity.parity(), mirror.parity());
        let between = format!("{} and {} vdevs", parity.word(), mirror.word());
        format!("{between}, {left} vs. {right} ({}-way)", mirror.disks)
    }
}
