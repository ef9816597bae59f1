//! `coordinator.toml`: where the coordinator keeps its state and where it listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use quorate_clock::Clock;
use quorate_model::failure::{ExitCode, Failure};
use serde::Deserialize;

/// Where the configuration is looked for if nobody says otherwise; it may be missing.
pub const DEFAULT_PATH: &str = "/etc/quorate/coordinator.toml";

/// The longest path of a Unix socket (`sun_path` with its closing zero).
const MAX_SOCKET_PATH: usize = 107;

/// The configuration of daemon and command line. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The daemon's state: CA, fleet, journal. Mode 0700, owned by the daemon's user.
    pub state_dir: PathBuf,
    /// The daemon's Unix socket, for the command line on the same host.
    pub socket: PathBuf,
    /// Where operators with a certificate are answered.
    pub api_listen: SocketAddr,
    /// Where nodes enrol, while an invitation is pending.
    pub enrol_listen: SocketAddr,
    /// The folder for passwords of storages: `password_file` of a cluster file names files in it, and no others are read.
    pub secrets_dir: PathBuf,
    /// The program that writes numbers in guests of ours, as it is put into them.
    pub guest_program: PathBuf,
    /// For the command line: a coordinator on another host, instead of the socket.
    pub remote: Option<Remote>,
    /// Only in a lab.
    pub lab: Option<Lab>,
}

/// A coordinator on another host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `HOST:PORT` of its API.
    pub address: String,
    /// The operator's bundle.
    pub bundle: PathBuf,
}

/// What only a lab may change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// The lab's folder: state and socket must lie inside.
    pub root: PathBuf,
    /// Added to the wall clock, in milliseconds.
    #[serde(default)]
    pub clock_offset_ms: i64,
    /// Divides deadlines and waits; at least 1.
    #[serde(default = "one")]
    pub speed: f64,
    /// No plan measures the network first, and none says anything of it: for tests of something else on a busy machine.
    #[serde(default)]
    pub network_as_given: bool,
}

fn one() -> f64 {
    1.0
}

impl Default for Config {
    fn default() -> Self {
        let everywhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        Self {
            state_dir: "/var/lib/quorate".into(),
            socket: "/run/quorate/quorate.sock".into(),
            api_listen: everywhere(7440),
            enrol_listen: everywhere(7441),
            secrets_dir: "/etc/quorate/secrets".into(),
            guest_program: "/usr/share/quorate/guest/quorate-tally".into(),
            remote: None,
            lab: None,
        }
    }
}

impl Config {
    /// Reads the configuration file. Only the default one may be missing.
    ///
    /// # Errors
    /// The file can't be read, or something in it is wrong; with the place.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let config = Self::parse(path, &text)?;
                if config.lab.is_none() {
                    check_owner(path)?;
                }
                Ok(config)
            }
            Err(error) if path == Path::new(DEFAULT_PATH) && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(Failure::new(
                ExitCode::Usage,
                format!("can't read the configuration {}", path.display()),
            )
            .because(&error)),
        }
    }

    /// Reads a configuration's text; `path` is for messages.
    ///
    /// # Errors
    /// Something in it is wrong; with the place.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let bad = |reason: String| {
            let mut failure = Failure::new(
                ExitCode::Usage,
                format!("the configuration {} is wrong", path.display()),
            );
            failure.causes.push(reason);
            failure
        };
        let config: Self = toml::from_str(text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
        config.check().map_err(bad)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        for (key, path) in [("state_dir", &self.state_dir), ("socket", &self.socket)] {
            if !path.is_absolute() {
                return Err(format!("{key} must be an absolute path, not {}", path.display()));
            }
            if let Some(lab) = &self.lab
                && !path.starts_with(&lab.root)
            {
                return Err(format!(
                    "with a lab, {key} must lie in its folder {}",
                    lab.root.display()
                ));
            }
        }
        if !self.guest_program.is_absolute() {
            let file = self.guest_program.display();
            return Err(format!("guest_program must be an absolute path, not {file}"));
        }
        if !self.secrets_dir.is_absolute() {
            let dir = self.secrets_dir.display();
            return Err(format!("secrets_dir must be an absolute path, not {dir}"));
        }
        if self.socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(format!(
                "socket is longer than {MAX_SOCKET_PATH} bytes, which the system does not allow"
            ));
        }
        match &self.lab {
            Some(lab) if !lab.root.is_absolute() => Err("lab.root must be an absolute path".to_owned()),
            Some(lab) if !(lab.speed.is_finite() && lab.speed >= 1.0) => Err("lab.speed must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }

    /// The clock that the whole process goes by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match &self.lab {
            None => Clock::system(),
            Some(lab) => Clock::for_lab(lab.clock_offset_ms.saturating_mul(1000)),
        }
    }
}

/// Who may change where the state lies or whom the command line asks, may do everything.
fn check_owner(path: &Path) -> Result<(), Failure> {
    let refused = |message: String, remedy: String| {
        let whose = "find out who has changed it; if nobody has, type: ";
        Failure::new(ExitCode::Refused, message).hint(format!("{whose}{remedy} {}", path.display()))
    };
    let meta = std::fs::metadata(path).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("can't look at the configuration {}", path.display()),
        )
        .because(&error)
    })?;
    let (mode, owner, ours) = (meta.mode() & 0o7777, meta.uid(), geteuid().as_raw());
    if mode & 0o022 != 0 {
        let message = format!(
            "the configuration {} has mode {mode:04o}: others may change it",
            path.display()
        );
        return Err(refused(message, format!("chmod {:04o}", mode & !0o022)));
    }
    if owner != 0 && owner != ours {
        let message = format!(
            "the configuration {} belongs to user id {owner}, which is neither root nor we",
            path.display()
        );
        return Err(refused(message, "chown root".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("c.toml"), text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_empty_file_means_the_documented_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!((config.api_listen.port(), config.enrol_listen.port()), (7440, 7441));
    }

    #[test]
    fn a_file_that_others_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.toml");
        std::fs::write(&path, "").unwrap();
        for (mode, fine) in [(0o664, false), (0o646, false), (0o640, true), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Config::load(&path).is_ok(), fine, "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let refused = Config::load(&path).unwrap_err();
        assert_eq!(refused.exit, ExitCode::Refused);
        assert!(
            refused.hints.iter().any(|hint| hint.contains("chmod 0644")),
            "{refused:?}"
        );
    }

    #[test]
    fn unknown_keys_are_named_with_their_place() {
        let error = parse("state_dir = \"/x\"\nsockett = \"/y\"\n").unwrap_err();
        assert!(error.contains("sockett") && error.contains("line 2"), "{error}");
        assert!(parse("[lab]\nroot = \"/x\"\nfast = 2\n").unwrap_err().contains("fast"));
    }

    #[test]
    fn a_lab_keeps_state_and_socket_inside() {
        let lab = "[lab]\nroot = \"/tmp/lab\"\nspeed = 20\n";
        assert!(parse(lab).unwrap_err().contains("/tmp/lab"));
        let inside = format!("state_dir = \"/tmp/lab/s\"\nsocket = \"/tmp/lab/q.sock\"\n{lab}");
        assert_eq!(parse(&inside).unwrap().lab.unwrap().speed, 20.0);
        assert!(parse(&inside.replace("20", "0.5")).unwrap_err().contains("speed"));
    }

    #[test]
    fn the_folder_for_passwords_is_a_path_from_the_root() {
        assert!(
            parse("secrets_dir = \"secrets\"\n")
                .unwrap_err()
                .contains("secrets_dir")
        );
        let dir = parse("secrets_dir = \"/srv/secrets\"\n").unwrap().secrets_dir;
        assert_eq!(dir, Path::new("/srv/secrets"));
    }

    #[test]
    fn only_the_default_file_may_be_missing() {
        let failure = Config::load(Path::new("/nonexistent/quorate.toml")).unwrap_err();
        assert!(failure.message.contains("/nonexistent/quorate.toml"), "{failure}");
    }

    #[test]
    fn a_socket_path_that_the_system_refuses_is_refused_here() {
        let error = parse(&format!("socket = \"/{}\"", "x".repeat(120))).unwrap_err();
        assert!(error.contains("107"), "{error}");
    }
}
