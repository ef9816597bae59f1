//! `/etc/quorate/agent.toml`: root's own word about this node, which no coordinator can change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use quorate_model::passage::{AGENT_PORT, MEASURE_PORTS};
use quorate_model::spec::{DiskName, InvalidDiskName};
use serde::Deserialize;

use crate::pace::Pace;

/// Where the file lies unless said otherwise.
pub const DEFAULT_PATH: &str = "/etc/quorate/agent.toml";

const DEFAULT_STATE_DIR: &str = "/var/lib/quorate-agent";
/// All addresses, IPv4 ones too: a server may have IPv6 only.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), AGENT_PORT);

/// The agent's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the agent listens.
    pub listen: SocketAddr,
    /// UDP ports for measuring the network.
    pub measure_ports: RangeInclusive<u16>,
    /// Where it keeps its identity, ledger and operations.
    pub state_dir: PathBuf,
    /// What it may do at most, whoever asks.
    pub policy: Policy,
    /// Are tools that change or mount something run as units of systemd's, out of reach of the agent's end and beside its sandbox? Not said:
    /// where systemd runs.
    pub units: Option<bool>,
    /// The simulated server that it runs on, if it does.
    pub lab: Option<Lab>,
}

/// What the node's administrator allows at most.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// May anything be changed at all? `false` makes the agent a mere observer.
    pub allow_changes: bool,
    /// May the agent be upgraded from afar, with a package that a release key pinned here has signed?
    pub allow_upgrade: bool,
    /// May rehearsed failures be caused here?
    pub allow_faults: bool,
    /// May what is on a disk be destroyed here? The operator has to say so of each disk as well.
    pub allow_destroy: bool,
    /// May a member be taken out of its cluster from here, or this server be switched off for that? The operator has to say so each
    /// time as well.
    pub allow_remove: bool,
    /// WWNs, serial numbers or `by-id` names of disks that are never touched: they are eligible for nothing.
    pub never_touch: Vec<String>,
    /// The longest that a rehearsed failure may last.
    #[serde(deserialize_with = "duration")]
    pub max_fault: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_changes: true,
            allow_upgrade: true,
            allow_faults: false,
            allow_destroy: false,
            allow_remove: true,
            never_touch: Vec::new(),
            // A failover drill holds its fault for at least 180 s; a fault of more than ten minutes is no rehearsal.
            max_fault: Duration::from_secs(600),
        }
    }
}

/// A simulated server: everything that the agent touches lies in a folder of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// The folder that stands for `/`.
    pub root: PathBuf,
    /// The folder with the server's tools; beside the root or in it.
    pub tools: PathBuf,
    /// By how much the server's clock is ahead, in milliseconds.
    pub clock_offset_ms: i64,
    /// Loopback addresses that stand for the links' addresses.
    pub addresses: BTreeMap<IpAddr, IpAddr>,
    /// How many times faster than in life everything goes.
    pub pace: Pace,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no configuration at {}", .0.display())]
    Missing(PathBuf),
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A disk that is never to be touched is named so that nobody can tell it.
    #[error(
        "never_touch in [policy]: `{0}` is no disk's stable name; write a serial number, a WWN or a name of /dev/disk/by-id (the kernel's names mean another disk after the next boot)"
    )]
    NoDisk(String),
    /// Somebody else than root could change the rules.
    #[error("{} can be changed by others than its owner (mode {mode:04o}); type: chmod go-w {}", path.display(), path.display())]
    OthersMayWrite {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file belongs to a stranger.
    #[error("{} belongs to user id {owner}, neither to root nor to the agent's own user", path.display())]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Not valid.
    #[error("{} is not valid:\n{message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, column, and what is wrong there.
        message: String,
    },
    /// A lab reaches out of its folder.
    #[error("in a lab, {what} ({}) must lie inside of {}", path.display(), inside.display())]
    OutsideOfLab {
        /// Which setting.
        what: &'static str,
        /// Where it points.
        path: PathBuf,
        /// Where it must lie.
        inside: PathBuf,
    },
    /// A folder of a lab is not there.
    #[error("the lab's {what} {} can't be used", path.display())]
    LabFolder {
        /// Which folder.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The whole system is no lab.
    #[error("the lab's root must be a folder of its own, not /")]
    LabIsHost,
    /// Only loopback addresses can stand for others.
    #[error("in a lab, the address that stands for {link} ({real}) must be a loopback address")]
    LabAddress {
        /// The link's address.
        link: IpAddr,
        /// What was to stand for it.
        real: IpAddr,
    },
    /// No port lies in the range.
    #[error("measure_ports = [{0}, {1}] holds no port; write the first and the last one")]
    NoPorts(u16, u16),
    /// A simulated server has no systemd.
    #[error("units = true can't be in a lab: a simulated server has no systemd")]
    UnitsInLab,
    /// A state directory must not depend on the working directory.
    #[error("state_dir ({}) is not an absolute path", .0.display())]
    RelativeStateDir(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    /// First and last.
    measure_ports: Option<(u16, u16)>,
    state_dir: Option<PathBuf>,
    #[serde(default)]
    policy: Policy,
    units: Option<bool>,
    lab: Option<LabFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabFile {
    root: PathBuf,
    tools: PathBuf,
    #[serde(default)]
    clock_offset_ms: i64,
    #[serde(default)]
    addresses: BTreeMap<IpAddr, IpAddr>,
    speed: Option<Pace>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            measure_ports: MEASURE_PORTS,
            state_dir: PathBuf::from(DEFAULT_STATE_DIR),
            policy: Policy::default(),
            units: None,
            lab: None,
        }
    }
}

impl Config {
    /// Reads the file, and checks what can be checked without touching anything else.
    ///
    /// # Errors
    /// It is missing, can be changed by others, is not valid, or describes a lab that reaches out of its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            },
        };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let config = Self::parse(&text, path)?;
        if config.lab.is_none() {
            check_owner(path, &fs::metadata(path).map_err(unreadable)?)?;
        }
        Ok(config)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let default = Self::default();
        let lab = file.lab.map(Lab::check).transpose()?;
        let state_dir = match (&lab, file.state_dir) {
            (Some(lab), None) => lab.root.join(DEFAULT_STATE_DIR.trim_start_matches('/')),
            (_, Some(dir)) if !dir.is_absolute() => return Err(ConfigError::RelativeStateDir(dir)),
            (Some(lab), Some(dir)) => {
                inside("state_dir", &nearest_existing(&dir), &lab.root)?;
                dir
            }
            (None, Some(dir)) => dir,
            (None, None) => default.state_dir,
        };
        let measure_ports = match file.measure_ports {
            Some((first, last)) if first == 0 || first > last => return Err(ConfigError::NoPorts(first, last)),
            Some((first, last)) => first..=last,
            None => default.measure_ports,
        };
        if lab.is_some() && file.units == Some(true) {
            return Err(ConfigError::UnitsInLab);
        }
        if let Some(name) = file.policy.never_touch.iter().find(|name| !is_a_name(name)) {
            return Err(ConfigError::NoDisk(name.clone()));
        }
        Ok(Self {
            measure_ports,
            listen: file.listen.unwrap_or(default.listen),
            state_dir,
            policy: file.policy,
            units: file.units,
            lab,
        })
    }

    /// How fast everything goes.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.lab.as_ref().map_or(Pace::REAL, |lab| lab.pace)
    }
}

/// Does it tell a disk from others, also after the next boot? A name that never fits would protect nothing, and nobody would notice.
fn is_a_name(name: &str) -> bool {
    !name.trim().is_empty() && !matches!(name.trim().parse::<DiskName>(), Err(InvalidDiskName::KernelName(_)))
}

impl Lab {
    fn check(file: LabFile) -> Result<Self, ConfigError> {
        let real = |what, path: &Path| {
            path.canonicalize().map_err(|source| ConfigError::LabFolder {
                what,
                path: path.to_owned(),
                source,
            })
        };
        let root = real("root", &file.root)?;
        let Some(server) = root.parent() else {
            return Err(ConfigError::LabIsHost);
        };
        let tools = real("tools", &file.tools)?;
        // The tools of a simulated server are no part of its file system; they lie beside it. Directly below `/` nothing
        // is beside a lab but the host itself.
        let around = if server.parent().is_some() { server } else { &root };
        inside("tools", &tools, around)?;
        // A simulated server must not send anything into a real network.
        if let Some((link, real)) = file.addresses.iter().find(|(_, real)| !real.is_loopback()) {
            return Err(ConfigError::LabAddress {
                link: *link,
                real: *real,
            });
        }
        Ok(Self {
            tools,
            clock_offset_ms: file.clock_offset_ms,
            addresses: file.addresses,
            pace: file.speed.unwrap_or(Pace::REAL),
            root,
        })
    }
}

fn inside(what: &'static str, path: &Path, inside: &Path) -> Result<(), ConfigError> {
    if path.starts_with(inside) {
        Ok(())
    } else {
        Err(ConfigError::OutsideOfLab {
            what,
            path: path.to_owned(),
            inside: inside.to_owned(),
        })
    }
}

/// Where a path that need not exist yet would really lie, symbolic links in it resolved. A `..` in the part that does
/// not exist is kept, and makes the path lie nowhere.
fn nearest_existing(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            let climbs = rest.components().any(|part| part == std::path::Component::ParentDir);
            return if climbs { PathBuf::new() } else { real.join(rest) };
        }
    }
    PathBuf::new()
}

fn check_owner(path: &Path, meta: &fs::Metadata) -> Result<(), ConfigError> {
    let mode = meta.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ConfigError::OthersMayWrite {
            path: path.to_owned(),
            mode,
        });
    }
    let owner = meta.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(ConfigError::WrongOwner {
            path: path.to_owned(),
            owner,
        });
    }
    Ok(())
}

/// `90s`, `10m`, `1h`: a whole number and its unit.
fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let seconds = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(seconds)
        });
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no duration; write it as 90s, 10m or 1h")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("agent.toml"))
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(Config::default().listen.to_string(), "[::]:7443");
    }

    #[test]
    fn a_disk_is_not_protected_by_a_name_that_moves() {
        let names = |names: &str| parse(&format!("[policy]\nnever_touch = [{names}]\n"));
        assert!(names("\"wwn-0x5002538e40a1b2c3\", \"S45NNA0M\"").is_ok());
        for moving in ["sda", "/dev/nvme0n1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", " "] {
            let error = names(&format!("\"S45NNA0M\", \"{moving}\"")).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("never_touch in [policy]: `{moving}` is no disk's")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = parse("listen = \"127.0.0.1:1\"\n[policy]\nallow_fault = true\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 3") && error.contains("allow_fault"), "{error}");
    }

    #[test]
    fn durations_have_a_unit() {
        let config = parse("[policy]\nmax_fault = \"4m\"").unwrap();
        assert_eq!(config.policy.max_fault, Duration::from_secs(240));
        assert!(
            parse("[policy]\nmax_fault = \"4\"")
                .unwrap_err()
                .to_string()
                .contains("write it as")
        );
    }

    #[test]
    fn a_lab_keeps_everything_inside() {
        let dir = tempfile::tempdir().unwrap();
        let server = dir.path().canonicalize().unwrap().join("prox1");
        let (root, bin) = (server.join("root"), server.join("bin"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&bin).unwrap();
        let with = |state: &str, tools: &str| {
            parse(&format!(
                "{state}\n[lab]\nroot = {root:?}\ntools = {tools:?}\nspeed = 10.0\n"
            ))
        };
        let tools = bin.to_str().unwrap();

        let config = with("", tools).unwrap();
        assert_eq!(config.state_dir, root.join("var/lib/quorate-agent"));
        assert!(with(&format!("state_dir = {:?}", root.join("state")), tools).is_ok());
        assert!(matches!(with("units = true", tools), Err(ConfigError::UnitsInLab)));
        assert_eq!(with("units = false", tools).unwrap().units, Some(false));

        let outside = |result: Result<Config, ConfigError>, what: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with(&format!("in a lab, {what}")), "{error}");
        };
        outside(with("state_dir = \"/var/lib/quorate-agent\"", tools), "state_dir");
        outside(
            with(&format!("state_dir = {:?}", root.join("x/../../../y")), tools),
            "state_dir",
        );
        std::os::unix::fs::symlink("/var", root.join("var")).unwrap();
        outside(
            with(&format!("state_dir = {:?}", root.join("var/q")), tools),
            "state_dir",
        );
        outside(with("", "/usr/bin"), "tools");
        assert!(
            parse("[lab]\nroot = \"/\"\ntools = \"/usr/bin\"")
                .unwrap_err()
                .to_string()
                .contains("not /")
        );
    }

    #[test]
    fn addresses_stand_for_others_only_in_a_lab_and_only_loopback_ones() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        let map = |text: &str| {
            let bin = root.join("bin");
            parse(&format!(
                "[lab]\nroot = {root:?}\ntools = {bin:?}\naddresses = {text}\n"
            ))
        };
        let lab = map("{ \"10.10.10.1\" = \"127.20.1.42\" }").unwrap().lab.unwrap();
        assert_eq!(lab.addresses.len(), 1);
        let error = map("{ \"10.10.10.1\" = \"192.168.1.1\" }").unwrap_err().to_string();
        assert!(error.contains("must be a loopback address"), "{error}");
        assert!(
            parse("addresses = { \"10.10.10.1\" = \"127.0.0.1\" }").is_err(),
            "not without a lab"
        );
        assert!(
            parse("[lab]\naddresses = { \"10.10.10.1\" = \"127.0.0.1\" }").is_err(),
            "not without a root"
        );
    }

    #[test]
    fn ports_for_measuring_are_a_range() {
        assert_eq!(
            parse("measure_ports = [7450, 7459]").unwrap().measure_ports,
            7450..=7459
        );
        for bad in ["[7459, 7450]", "[0, 5]", "7450"] {
            assert!(parse(&format!("measure_ports = {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        assert!(matches!(Config::load(&path), Err(ConfigError::Missing(_))));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("chmod go-w"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Config::load(&path).is_ok());
    }
}
