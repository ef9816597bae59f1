//! Where this process runs: under systemd or not, as a service of its or not, and whether it sees the host as PID 1 does.

use std::fs;
use std::path::Path;

/// What systemd makes before anything else, and nobody in its stead.
const BOOTED: &str = "/run/systemd/system";

/// Does systemd run this machine?
#[must_use]
pub fn systemd_runs() -> bool {
    Path::new(BOOTED).is_dir()
}

/// May this process be kept in a sandbox, or ended together with others, by systemd: is it part of a service, or does it see other mounts
/// than PID 1? What can't be told counts as no.
#[must_use]
pub fn inside_a_service() -> bool {
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let invoked = std::env::var_os("INVOCATION_ID").is_some();
    systemd_runs() && ((invoked && is_of_a_service(&cgroup)) || sees_other_mounts())
}

/// `0::/system.slice/quorate-agent.service`; with the older layout one line of several says so.
fn is_of_a_service(cgroup: &str) -> bool {
    cgroup.lines().any(|line| {
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        path.split('/').any(|part| part.ends_with(".service"))
    })
}

fn sees_other_mounts() -> bool {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
    matches!((of("self"), of("1")), (Ok(own), Ok(first)) if own != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_control_group() {
        assert!(is_of_a_service("0::/system.slice/quorate-agent.service\n"));
        assert!(is_of_a_service(
            "12:pids:/system.slice/quorate-agent.service\n1:name=systemd:/\n"
        ));
        assert!(is_of_a_service("0::/system.slice/quorate-agent.service/more\n"));
        for other in [
            "0::/user.slice/user-0.slice/session-3.scope\n",
            "0::/\n",
            "",
            "nonsense",
        ] {
            assert!(!is_of_a_service(other), "{other}");
        }
    }
}
