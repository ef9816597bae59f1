//! The system's own `ssh`, for `quorate node add`: with the operator's keys, settings and known hosts. It never asks anybody anything, and
//! never talks to a host that it does not know.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, BASE64_NOPAD};
use nix::unistd::{User, getuid};
use quorate_clock::Clock;
use quorate_exec::{ExecError, Exit, Finished, Invocation, InvocationBuilder, OsRunner, Runner as _, Stdin, Tools};
use quorate_model::failure::{ExitCode, Failure};
use sha2::{Digest as _, Sha256};

use super::{ask, output};

/// What a server is asked for on the way; connecting takes at most ten seconds of it.
const WITHIN: Duration = Duration::from_secs(60);

/// ssh's own exit code, when it is not the remote command's.
const OF_SSH: Exit = Exit::Code(255);

/// How the server is reached.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Way {
    /// Use this configuration of ssh instead of your own
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// The server's host key is this one (SHA256:…), as its console shows it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    #[arg(long, value_name = "FINGERPRINT")]
    host_key: Option<String>,
}

/// USER@HOST, or HOST for root there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    user: String,
    host: String,
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, host) = text.rsplit_once('@').unwrap_or(("root", text));
        let plain = |part: &str, more: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if plain(user, "-_.") && plain(host, "-_.:%") {
            Ok(Self {
                user: user.to_owned(),
                host: host.to_owned(),
            })
        } else {
            Err("write it as root@HOST".to_owned())
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// A way to a server.
#[derive(Debug)]
pub(crate) struct Ssh {
    tools: Tools,
    runner: OsRunner,
    way: Way,
    destination: Destination,
    /// Its real name or address and port, as ssh's configuration has them.
    host: String,
    port: String,
    known_hosts: Option<String>,
}

/// What a command on the server left: it has run, however it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn success(&self) -> bool {
        self.exit.is_success()
    }
}

/// A host key as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostKey {
    /// As a line of known_hosts.
    line: String,
    kind: String,
    fingerprint: String,
}

impl Ssh {
    /// Finds out where the destination is. Connects with nobody yet.
    pub(crate) async fn to(destination: Destination, way: Way, clock: Clock) -> Result<Self, Failure> {
        let mut ssh = Self {
            tools: Tools::system(),
            runner: OsRunner::new(clock),
            way,
            host: destination.host.clone(),
            port: "22".to_owned(),
            known_hosts: None,
            destination,
        };
        let call = ssh.call()?.arg("-G").arg("--").arg(ssh.destination.to_string());
        let settings = ssh.run(call).await?;
        if !settings.exit.is_success() {
            return Err(ssh.failed("ssh does not take its configuration", &settings.stderr_text()));
        }
        let text = String::from_utf8_lossy(&settings.stdout).into_owned();
        let of = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        ssh.host = of("hostname").unwrap_or(ssh.host);
        ssh.port = of("port").unwrap_or(ssh.port);
        ssh.known_hosts = of("userknownhostsfile").and_then(|files| files.split(' ').next().map(str::to_owned));
        Ok(ssh)
    }

    /// The server's name or address, as ssh's configuration has it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Runs the first command on the server, and sees to it that its host key is known.
    pub(crate) async fn first(&self, command: &[&str]) -> Result<Said, Failure> {
        match self.attempt(command, Stdin::Null, WITHIN).await? {
            Ok(said) => Ok(said),
            Err(words) if is_unknown(&words) => {
                self.learn_host_key().await?;
                self.does(command).await
            }
            Err(words) => Err(self.no_way(&words)),
        }
    }

    /// Runs a command on the server.
    pub(crate) async fn does(&self, command: &[&str]) -> Result<Said, Failure> {
        self.does_with(command, Stdin::Null, WITHIN).await
    }

    /// Runs a command on the server, with something on its stdin, for as long as that may take.
    pub(crate) async fn does_with(&self, command: &[&str], stdin: Stdin, within: Duration) -> Result<Said, Failure> {
        let attempt = self.attempt(command, stdin, within).await?;
        attempt.map_err(|words| self.no_way(&words))
    }

    /// What the command left, or what ssh says that kept it from running.
    async fn attempt(&self, command: &[&str], stdin: Stdin, within: Duration) -> Result<Result<Said, String>, Failure> {
        let call = self
            .call()?
            .args([
                "-T",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "ConnectTimeout=10",
                "-o",
                "ServerAliveInterval=15",
                "-o",
                "ForwardAgent=no",
                "-o",
                "ClearAllForwardings=yes",
                "-o",
                "LogLevel=ERROR",
                "--",
            ])
            .arg(self.destination.to_string())
            .arg(quoted(command))
            .stdin(stdin)
            .deadline(within);
        let finished = self.run(call).await?;
        let stderr = finished.stderr_text().into_owned();
        if finished.exit == OF_SSH {
            return Ok(Err(stderr));
        }
        Ok(Ok(Said {
            exit: finished.exit,
            stdout: String::from_utf8_lossy(&finished.stdout).trim().to_owned(),
            stderr,
        }))
    }

    /// A call of ssh, with the operator's key agent and configuration.
    fn call(&self) -> Result<InvocationBuilder, Failure> {
        let call = self.tool("ssh")?;
        let call = match std::env::var("SSH_AUTH_SOCK") {
            Ok(socket) if !socket.is_empty() => call.env("SSH_AUTH_SOCK", socket),
            _ => call,
        };
        Ok(match &self.way.ssh_config {
            Some(file) => call.arg("-F").arg(file.as_os_str().to_owned()),
            None => call,
        })
    }

    fn tool(&self, name: &str) -> Result<InvocationBuilder, Failure> {
        self.tools.call(name).map_err(|error| {
            Failure::new(ExitCode::Failed, "no server can be reached by ssh from here")
                .because(&error)
                .hint("apt install openssh-client")
        })
    }

    async fn run(&self, call: InvocationBuilder) -> Result<Finished, Failure> {
        let call: Invocation = call
            .build()
            .map_err(|error| Failure::new(ExitCode::Usage, "ssh can't be called so").because(&error))?;
        self.runner.run(&call).await.map_err(|error| {
            let exit = match &error {
                ExecError::DeadlinePassed { .. } | ExecError::Abandoned { .. } => ExitCode::Unreachable,
                _ => ExitCode::Failed,
            };
            Failure::new(
                exit,
                format!("{} was asked something and did not answer", self.destination),
            )
            .because(&error)
        })
    }

    /// Lets the operator say that the server's host key is the right one, and notes it where ssh notes it, too.
    async fn learn_host_key(&self) -> Result<(), Failure> {
        let scan = self
            .tool("ssh-keyscan")?
            .args(["-T", "10", "-p", &self.port, "--", &self.host]);
        let scanned = self.run(scan.deadline(WITHIN)).await?;
        let keys = host_keys(&String::from_utf8_lossy(&scanned.stdout));
        let destination = &self.destination;
        if keys.is_empty() {
            return Err(Failure::new(
                ExitCode::Refused,
                format!("{destination} is not known: ssh has no host key of it, and it shows none here"),
            )
            .hint(format!(
                "connect with it once by hand, and compare its key: ssh {destination}"
            )));
        }
        let shown = |key: &HostKey| format!("{} {}", key.kind, key.fingerprint);
        let chosen = match &self.way.host_key {
            Some(wanted) => keys.iter().find(|key| key.fingerprint == *wanted).ok_or_else(|| {
                let all: Vec<String> = keys.iter().map(shown).collect();
                Failure::new(
                    ExitCode::Refused,
                    format!(
                        "{destination} is another host: none of its keys is {wanted}, it has {}",
                        all.join(", ")
                    ),
                )
            })?,
            None => {
                // The one that ssh itself would show.
                let key = keys.iter().find(|key| key.kind == "ssh-ed25519").or(keys.first());
                let key = key.ok_or_else(|| Failure::new(ExitCode::Internal, "no host key"))?;
                if !output::interactive() {
                    return Err(Failure::new(
                        ExitCode::Refused,
                        format!("{destination} is not known: ssh has no host key of it. It shows {}", shown(key)),
                    )
                    .hint("compare it with what the server's own console says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
                    .hint(format!("if it is the same, add: --host-key {}", key.fingerprint)));
                }
                let question = format!(
                    "{destination} is not known. It shows this host key:\n\n    {}\n\n\
                     Is it what the server's own console says (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)?",
                    shown(key)
                );
                if !ask::confirm(&question, "--host-key FINGERPRINT")? {
                    return Err(Failure::new(
                        ExitCode::Cancelled,
                        "its host key was not confirmed; nothing was done",
                    ));
                }
                key
            }
        };
        self.note(&chosen.line)
    }

    /// Adds a line to known_hosts.
    fn note(&self, line: &str) -> Result<(), Failure> {
        let home = || User::from_uid(getuid()).ok().flatten().map(|user| user.dir);
        let file = self.known_hosts.as_deref().unwrap_or("~/.ssh/known_hosts");
        let path = match (file.strip_prefix("~/"), home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(file),
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let written = made.and_then(|()| {
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            // Somebody may have edited it and left the last line open.
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(-1)).is_ok() {
                file.read_exact(&mut last)?;
            }
            let open = if last == *b"\n" { "" } else { "\n" };
            file.write_all(format!("{open}{line}\n").as_bytes())
        });
        written.map_err(|error| {
            let message = format!(
                "the host key of {} can't be noted in {}",
                self.destination,
                path.display()
            );
            Failure::new(ExitCode::Failed, message).because(&error)
        })
    }

    /// Why there is no way to the server, by ssh's own words.
    fn no_way(&self, words: &str) -> Failure {
        let destination = &self.destination;
        let has = |part: &str| words.contains(part);
        if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            return self
                .failed(
                    &format!("{destination} shows another host key than the one that ssh knows: it is another host, or was installed anew"),
                    "",
                )
                .hint("find out which; only if it was installed anew: ssh-keygen -R HOST, then type the same again");
        }
        if is_unknown(words) {
            return self.failed(&format!("{destination} is not known: ssh has no host key of it"), words);
        }
        if has("Permission denied") {
            let failure = Failure::new(ExitCode::Denied, format!("{destination} takes none of your keys"));
            return failure
                .hint(format!("bring your key there: ssh-copy-id {destination}"))
                .hint("or, if it has a passphrase, give it to an agent: ssh-add");
        }
        let words = words.lines().last().unwrap_or("ssh gave no reason").to_owned();
        let mut failure = Failure::new(ExitCode::Unreachable, format!("{destination} can't be reached by ssh"));
        failure.causes.push(words);
        failure.hint(format!("try it by hand: ssh {destination}"))
    }

    fn failed(&self, what: &str, words: &str) -> Failure {
        let mut failure = Failure::new(ExitCode::Refused, what);
        failure.causes.extend(words.lines().last().map(str::to_owned));
        failure
    }
}

/// Does ssh say that it does not know the host?
fn is_unknown(words: &str) -> bool {
    (words.contains("host key is known for") || words.contains("Host key verification failed"))
        && !words.contains("IDENTIFICATION HAS CHANGED")
}

/// ssh gives the remote shell one line: each word is quoted, so that it stays one.
fn quoted(words: &[&str]) -> String {
    let quote = |word: &&str| {
        if !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c))
        {
            (*word).to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Keys as ssh-keyscan prints them: `HOST TYPE BASE64`.
fn host_keys(text: &str) -> Vec<HostKey> {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        let (_host, kind, key) = (words.next()?, words.next()?, words.next()?);
        let blob = BASE64.decode(key.as_bytes()).ok()?;
        Some(HostKey {
            line: line.to_owned(),
            kind: kind.to_owned(),
            fingerprint: format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob))),
        })
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_user_and_a_host_and_never_an_option() {
        let parse = |text: &str| text.parse::<Destination>().map(|destination| destination.to_string());
        assert_eq!(parse("root@prox1.example").unwrap(), "root@prox1.example");
        assert_eq!(parse("192.168.1.11").unwrap(), "root@192.168.1.11");
        assert_eq!(parse("admin@fd00::1").unwrap(), "admin@fd00::1");
        for bad in [
            "",
            "@",
            "root@",
            "root@-oProxyCommand=x",
            "-x@host",
            "a b@host",
            "root@host;x",
            "root@$(x)",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_stay_words() {
        let said = quoted(&["dpkg-query", "-f", "${Version}\n", "it's", "", "a=b"]);
        assert_eq!(said, "dpkg-query -f '${Version}\n' 'it'\\''s' '' a=b");
    }

    #[test]
    fn host_keys_have_the_fingerprint_that_ssh_shows() {
        // ssh-keygen -lf: 256 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU is that of nothing.
        let keys = host_keys("# h:22 SSH-2.0-OpenSSH_9.2p1\n[h]:2222 ssh-ed25519 AAAA\nh ssh-rsa !!\nh\n");
        assert_eq!(keys.len(), 1);
        assert_eq!(
            (keys[0].kind.as_str(), keys[0].line.as_str()),
            ("ssh-ed25519", "[h]:2222 ssh-ed25519 AAAA")
        );
        assert_eq!(
            keys[0].fingerprint,
            format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest([0_u8; 3])))
        );
    }
}
