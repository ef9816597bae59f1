//! Reads commands of a scenario, word by word.

use super::{CfsPart, Command, CrmAction, Daemon, Do, GuestStats, ServiceAction, Stats};
use crate::model::{CrmCommand, DisarmMode, Motion, Requested, Sid};

const MIB: f64 = 1024.0 * 1024.0;

impl Command {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// The text is no command; the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let does = match *words {
            ["power", node, state] => Do::Power {
                node: node.to_owned(),
                on: on_off(state)?,
            },
            ["network", node, state] => Do::Network {
                node: node.to_owned(),
                on: on_off(state)?,
            },
            ["delay", seconds] => Do::Delay(number(seconds, "seconds")?),
            ["skip-round", which] => skip(which, "1")?,
            ["skip-round", which, rounds] => skip(which, rounds)?,
            ["cfs", node, part, works] => Do::Cfs {
                node: node.to_owned(),
                part: match part {
                    "rw" => CfsPart::ReadWrite,
                    "update" => CfsPart::Update,
                    other => return Err(format!("'{other}' is neither rw nor update")),
                },
                works: match works {
                    "work" => true,
                    "fail" => false,
                    other => return Err(format!("'{other}' is neither work nor fail")),
                },
            },
            ["reboot", node] => Do::Reboot(node.to_owned()),
            ["shutdown", node] => Do::Shutdown(node.to_owned()),
            ["restart-lrm", node] => Do::RestartLrm(node.to_owned()),
            ["pve-manager-version", node, "set", version] => Do::Version {
                node: node.to_owned(),
                version: version.to_owned(),
            },
            ["crm", node, ref action @ ..] => Do::Crm(node.to_owned(), crm(node, action)?),
            ["service", sid, ref action @ ..] => {
                let sid = Sid::parse(sid).map_err(|error| error.to_string())?;
                let action = service(&sid, action)?;
                Do::Service(sid, action)
            }
            _ => return Err(format!("'{text}' is no command")),
        };
        Ok(Self {
            text: text.to_owned(),
            does,
        })
    }
}

fn on_off(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("'{other}' is neither on nor off")),
    }
}

fn number<N: std::str::FromStr>(word: &str, of: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("'{word}' is no number of {of}"))
}

fn skip(which: &str, rounds: &str) -> Result<Do, String> {
    let daemon = match which {
        "crm" => Daemon::Crm,
        "lrm" => Daemon::Lrm,
        other => return Err(format!("'{other}' is neither crm nor lrm")),
    };
    Ok(Do::SkipRound {
        daemon,
        rounds: number(rounds, "rounds")?,
    })
}

fn crm(node: &str, action: &[&str]) -> Result<CrmAction, String> {
    Ok(match *action {
        ["start"] => CrmAction::Start,
        ["stop"] => CrmAction::Stop,
        ["enable-node-maintenance"] => CrmAction::Queue(CrmCommand::EnableMaintenance(node.to_owned())),
        ["disable-node-maintenance"] => CrmAction::Queue(CrmCommand::DisableMaintenance(node.to_owned())),
        ["disarm-ha", mode] => {
            let mode = DisarmMode::from_word(mode).ok_or_else(|| format!("'{mode}' is neither freeze nor ignore"))?;
            CrmAction::Queue(CrmCommand::Disarm(mode))
        }
        ["arm-ha"] => CrmAction::Queue(CrmCommand::Arm),
        _ => return Err(format!("'{}' is nothing a CRM can be told", action.join(" "))),
    })
}

fn service(sid: &Sid, action: &[&str]) -> Result<ServiceAction, String> {
    Ok(match *action {
        [word] if Requested::from_word(word).is_some() => {
            ServiceAction::Want(Requested::from_word(word).unwrap_or(Requested::Started))
        }
        [word @ ("migrate" | "relocate"), target] => ServiceAction::Queue(CrmCommand::Move {
            motion: if word == "migrate" {
                Motion::Migrate
            } else {
                Motion::Relocate
            },
            sid: sid.clone(),
            target: target.to_owned(),
        }),
        ["stop", timeout] => ServiceAction::Queue(CrmCommand::Stop {
            sid: sid.clone(),
            timeout: number(timeout, "seconds")?,
        }),
        ["add", node] => add(node, "started", "0")?,
        ["add", node, state] => add(node, state, "0")?,
        ["add", node, state, running] => add(node, state, running)?,
        ["delete"] => ServiceAction::Delete,
        ["lock"] => ServiceAction::Lock("backup".to_owned()),
        ["lock", lock] => ServiceAction::Lock(lock.to_owned()),
        ["unlock"] => ServiceAction::Unlock(None),
        ["unlock", lock] => ServiceAction::Unlock(Some(lock.to_owned())),
        ["manual-migrate", target] => ServiceAction::MoveByHand(target.to_owned()),
        ["set-static-stats", ref pairs @ ..] => ServiceAction::Stats(stats(pairs, "maxcpu", "maxmem")?),
        ["set-dynamic-stats", ref pairs @ ..] => ServiceAction::Stats(stats(pairs, "cpu", "mem")?),
        _ => return Err(format!("'{}' is nothing that can befall a service", action.join(" "))),
    })
}

fn add(node: &str, state: &str, running: &str) -> Result<ServiceAction, String> {
    Ok(ServiceAction::Add {
        node: node.to_owned(),
        state: requested(state).ok_or_else(|| format!("'{state}' is nothing that can be wanted of a service"))?,
        running: match running {
            "0" => false,
            "1" => true,
            other => return Err(format!("'{other}' is neither 0 nor 1")),
        },
    })
}

/// What is wanted of a service, with the old word for `started`.
pub(super) fn requested(word: &str) -> Option<Requested> {
    match word {
        "enabled" => Some(Requested::Started),
        other => Requested::from_word(other),
    }
}

fn stats(pairs: &[&str], cpu: &str, mem: &str) -> Result<Stats, String> {
    let limits = cpu == "maxcpu";
    let mut stats = GuestStats::default();
    if pairs.is_empty() {
        return Err(format!("{cpu} or {mem} is missing"));
    }
    for pair in pairs.chunks(2) {
        match *pair {
            [key, value] if key == cpu => {
                let value = Some(number::<f64>(value, "processors")?);
                if limits {
                    stats.maxcpu = value
                } else {
                    stats.cpu = value
                }
            }
            [key, value] if key == mem => {
                let value = Some(number::<f64>(value, "MiB")? * MIB);
                if limits {
                    stats.maxmem = value
                } else {
                    stats.mem = value
                }
            }
            [key, _] => return Err(format!("'{key}' is neither {cpu} nor {mem}")),
            _ => return Err("the last value is missing".to_owned()),
        }
    }
    Ok(Stats(stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_befall_is_read() {
        for text in [
            "power node1 on",
            "network node2 off",
            "delay 30",
            "skip-round crm 5",
            "cfs node1 rw fail",
            "reboot node1",
            "crm node1 disarm-ha freeze",
            "service vm:101 started",
            "service vm:101 migrate node2",
            "service vm:101 stop 0",
            "service vm:101 add node1 stopped 1",
            "service vm:101 lock create",
            "service vm:101 set-static-stats maxcpu 2.5 maxmem 512",
        ] {
            assert_eq!(Command::parse(text).unwrap().text, text);
        }
    }

    #[test]
    fn what_cannot_befall_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "'' is no command"),
            ("power node1 maybe", "'maybe' is neither on nor off"),
            ("power node1", "is no command"),
            ("delay soon", "'soon' is no number of seconds"),
            ("skip-round qrm", "'qrm' is neither crm nor lrm"),
            ("cfs node1 rw break", "'break' is neither work nor fail"),
            ("crm node1 dance", "'dance' is nothing a CRM can be told"),
            ("service vm started", "'vm' names no service"),
            ("service vm:1 asleep", "'asleep' is nothing that can befall a service"),
            (
                "service vm:1 set-static-stats cpu 1",
                "'cpu' is neither maxcpu nor maxmem",
            ),
            ("service vm:1 set-static-stats maxcpu", "the last value is missing"),
        ] {
            let error = Command::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
