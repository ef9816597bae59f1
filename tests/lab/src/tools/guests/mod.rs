//! `qm` and `pct`: a server's guests, looked at and handled.
//!
//! Texts and exit codes are from the source of qemu-server and pve-container. A task that fails ends both programs with 255.

mod agent;
mod create;
mod destroy;
mod disks;
mod inside;
mod list;
mod migrate;
mod power;
mod show;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use self::list::list;
pub(super) use self::migrate::precheck;
pub(super) use self::show::{config_json, current, resources};
use super::io::Stop;
use super::worker::{Failure, Worker};
use super::{Call, Reply, unknown};
use crate::description::GuestKind;
use crate::world::guests::Guest;
use crate::world::pmxcfs::Replica;
use crate::world::state::guests::no_conf;

/// Source: captured of `qm list`, 0.44 s.
const START: Duration = Duration::from_millis(440);

const DOWN: &str = "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\n\
                    ipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n";

/// What a call is about.
struct Asked<'c> {
    call: &'c Call,
    kind: GuestKind,
    vmid: u32,
    words: Vec<String>,
    options: BTreeMap<String, String>,
}

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    if let ["list", ..] = args.as_slice() {
        return match call
            .server(|server, _| list::reply(server, &call.tool, &args))
            .flatten()
        {
            Some((cost, reply)) => call.reply(cost, reply).await,
            None => unknown(call).await,
        };
    }
    call.io.pause(START).await?;
    if !call.server(|server, _| server.pmxcfs.running).unwrap_or(false) {
        return call.reply(0, Reply::fail(111, DOWN)).await;
    }
    let kind = if call.tool == "qm" {
        GuestKind::Qemu
    } else {
        GuestKind::Lxc
    };
    if let ["guest", verb, rest @ ..] = args.as_slice() {
        return match (kind, *verb) {
            (GuestKind::Qemu, "cmd") => agent::command(call, rest).await,
            (GuestKind::Qemu, "exec") => agent::exec(call, rest).await,
            _ => unknown(call).await,
        };
    }
    if let (GuestKind::Lxc, ["exec", rest @ ..]) = (kind, args.as_slice()) {
        return agent::inside(call, rest).await;
    }
    if let (GuestKind::Lxc, ["push", rest @ ..]) = (kind, args.as_slice()) {
        return agent::push(call, rest).await;
    }
    let Some((verb, [vmid, rest @ ..])) = args.split_first() else {
        return unknown(call).await;
    };
    let Ok(vmid) = vmid.parse::<u32>() else {
        let usage = "400 not enough arguments\n";
        return call.reply(0, Reply::fail(255, usage)).await;
    };
    let (words, options) = options(rest);
    let asked = Asked {
        call,
        kind,
        vmid,
        words,
        options,
    };
    if *verb == "create" {
        return create::run(asked).await;
    }
    if asked.guest().is_none() {
        let node = call.server(|server, _| server.name().to_owned()).unwrap_or_default();
        return asked.refuse(&no_conf(&node, kind, vmid)).await;
    }
    match *verb {
        "config" => show::config(asked).await,
        "status" => show::status(asked).await,
        "set" => create::set(asked).await,
        "start" => power::start(asked).await,
        "stop" => power::stop(asked).await,
        "shutdown" => power::shutdown(asked).await,
        "unlock" => power::unlock(asked).await,
        "migrate" => migrate::run(asked).await,
        "destroy" => destroy::run(asked).await,
        _ => unknown(call).await,
    }
}

/// Words, and options with their values; one without a value is a switch that is on.
fn options(args: &[&str]) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut words, mut options) = (Vec::new(), BTreeMap::new());
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let Some(name) = arg
            .strip_prefix("--")
            .or_else(|| arg.strip_prefix('-'))
            .filter(|name| !name.is_empty())
        else {
            words.push((*arg).to_owned());
            continue;
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match args.next_if(|next| !next.starts_with('-')) {
                Some(value) => (name, (*value).to_owned()),
                None => (name, "1".to_owned()),
            },
        };
        options.insert(name.to_owned(), value);
    }
    (words, options)
}

impl<'c> Asked<'c> {
    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.option(name), Some("1" | "yes" | "on" | "true"))
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        self.option(name)?.parse().ok()
    }

    /// `VM` or `CT`.
    fn word(&self) -> &'static str {
        match self.kind {
            GuestKind::Qemu => "VM",
            GuestKind::Lxc => "CT",
        }
    }

    /// The guest, if it is on this server and of this kind.
    fn guest(&self) -> Option<Guest> {
        self.call
            .server(|server, _| server.guest(self.vmid).filter(|guest| guest.kind == self.kind).cloned())
            .flatten()
    }

    fn node(&self) -> String {
        self.call
            .server(|server, _| server.name().to_owned())
            .unwrap_or_default()
    }

    fn task(&self, of_machine: &'static str, of_container: &'static str) -> Worker<'c> {
        let kind = match self.kind {
            GuestKind::Qemu => of_machine,
            GuestKind::Lxc => of_container,
        };
        Worker::start(self.call, kind, &self.vmid.to_string())
    }

    /// Ends with a text on stderr, as a method that died.
    async fn refuse(&self, text: &str) -> Result<i32, Stop> {
        self.call.reply(0, Reply::fail(255, format!("{text}\n"))).await
    }

    /// Changes the cluster's files, or says why not.
    fn write(&self, change: impl Fn(&mut Replica)) -> Result<(), Failure> {
        let written = self.call.world.with(|state| state.write(self.call.node, change));
        written.map_err(|_| Failure::Died("cluster not ready - no quorum?".to_owned()))
    }

    /// Changes its configuration.
    fn change(&self, change: impl Fn(&mut Guest)) -> Result<(), Failure> {
        self.write(|replica| {
            if let Some(guest) = replica.guests.get_mut(&self.vmid) {
                change(guest);
            }
        })
    }

    /// Does HA look after it?
    fn is_managed(&self) -> bool {
        self.call
            .server(|server, _| crate::world::under_ha::is_managed(&server.pmxcfs.replica, self.kind, self.vmid))
            .unwrap_or(false)
    }

    /// A task that only leaves an order for HA.
    async fn by_ha(self, task: &'static str, text: String, order: impl Fn(&mut Replica)) -> Result<i32, Stop> {
        let worker = Worker::start(self.call, task, &self.vmid.to_string());
        let ask = async {
            worker.say(&format!("{text}\n")).await?;
            worker.pause(500).await?;
            self.write(&order)
        };
        let result = ask.await;
        worker.end_with(result, 255).await
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn switches_need_no_value() {
        let (words, options) = options(&["prox2", "--online", "--with-local-disks", "1", "--timeout=60"]);
        assert_eq!(words, ["prox2"]);
        let found: Vec<_> = options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, [("online", "1"), ("timeout", "60"), ("with-local-disks", "1")]);
    }
}
