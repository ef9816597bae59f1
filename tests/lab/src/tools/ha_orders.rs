//! What `ha-manager` changes: resources, rules or groups, and orders to the master, which reads them in its next round.

use std::time::Duration;

use quorate_lab_ha::model::Requested;

use super::ha_sections::{self, Section};
use super::io::Stop;
use super::options::{self, Parsed};
use super::{Call, Reply, unknown};
use crate::world::ha::{HaFiles, Resource};
use crate::world::server::Server;
use crate::world::state::State;

const RESOURCE: &[&str] = &[
    "state",
    "max_restart",
    "max_relocate",
    "failback",
    "group",
    "comment",
    "type",
    "delete",
    "digest",
];
const RULE: &[&str] = &[
    "resources",
    "nodes",
    "strict",
    "affinity",
    "disable",
    "comment",
    "delete",
];
const GROUP: &[&str] = &["nodes", "restricted", "nofailback", "comment", "delete"];

/// A change, or what is printed in its place.
type Decided = Result<Box<dyn Fn(&mut HaFiles) + Send + Sync>, Reply>;

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let decided = match args {
        ["add", rest @ ..] => decide(call, rest, RESOURCE, add),
        ["set", rest @ ..] => decide(call, rest, RESOURCE, set),
        ["remove", rest @ ..] => decide(call, rest, &["purge"], remove),
        ["migrate" | "relocate", rest @ ..] | ["crm-command", "migrate" | "relocate", rest @ ..] => {
            let motion = if args.contains(&"relocate") {
                "relocate"
            } else {
                "migrate"
            };
            decide(call, rest, &[], |seen, parsed| to_node(seen, motion, parsed))
        }
        ["crm-command", "stop", rest @ ..] => decide(call, rest, &[], stop),
        [
            "crm-command",
            "node-maintenance",
            way @ ("enable" | "disable"),
            rest @ ..,
        ] => decide(call, rest, &[], |seen, parsed| maintenance(seen, way, parsed)),
        ["crm-command", "disarm-ha", mode @ ("freeze" | "ignore")] => {
            arming(call, "disarm-ha", &format!("disarm-ha {mode}"))
        }
        ["crm-command", "arm-ha"] => arming(call, "arm-ha", "arm-ha"),
        ["rules", "add", kind, rest @ ..] => decide(call, rest, RULE, |seen, parsed| rule(seen, kind, parsed, true)),
        ["rules", "set", kind, rest @ ..] => decide(call, rest, RULE, |seen, parsed| rule(seen, kind, parsed, false)),
        ["rules", "remove", rest @ ..] => decide(call, rest, &[], remove_rule),
        ["rules", "config" | "list", ..] => {
            let text = call.server(|server, _| server.pmxcfs.replica.ha.rules.clone());
            return call.reply(0, Reply::ok(text.unwrap_or_default())).await;
        }
        ["groupadd", rest @ ..] => decide(call, rest, GROUP, |seen, parsed| group(seen, parsed, true)),
        ["groupset", rest @ ..] => decide(call, rest, GROUP, |seen, parsed| group(seen, parsed, false)),
        ["groupremove", rest @ ..] => decide(call, rest, &[], remove_group),
        ["groupconfig"] => {
            let text = call.server(|server, _| server.pmxcfs.replica.ha.groups.clone());
            return call.reply(0, Reply::ok(text.unwrap_or_default())).await;
        }
        _ => None,
    };
    match decided {
        None => unknown(call).await,
        Some(Err(reply)) => call.reply(0, reply).await,
        Some(Ok(change)) => commit(call, change).await,
    }
}

/// What is looked at before anything is changed.
struct Seen<'a> {
    server: &'a Server,
    files: &'a HaFiles,
}

impl Seen<'_> {
    fn is_node(&self, name: &str) -> bool {
        let replica = &self.server.pmxcfs.replica;
        match &replica.conf {
            Some(conf) => conf.nodes.iter().any(|node| node.name == name),
            None => self.server.name() == name,
        }
    }

    /// `100` or `vm:100`, as `vm:100`.
    fn sid(&self, word: &str) -> Result<String, Reply> {
        let guests = &self.server.pmxcfs.replica.guests;
        match word.split_once(':') {
            Some(_) => Ok(word.to_owned()),
            None => match word.parse::<u32>().ok().and_then(|vmid| guests.get(&vmid)) {
                Some(guest) => Ok(format!("{}:{word}", guest.kind.sid_type())),
                None => Err(refused("unable to detect SID from VMID - VM/CT ID does not exist")),
            },
        }
    }

    /// The same, of what is under HA.
    fn managed(&self, word: &str) -> Result<String, Reply> {
        let sid = self.sid(word)?;
        match self.files.resources.contains_key(&sid) {
            true => Ok(sid),
            false => Err(refused(format!("resource '{sid}' is not HA managed"))),
        }
    }
}

fn decide(
    call: &Call,
    args: &[&str],
    known: &[&str],
    how: impl FnOnce(&Seen<'_>, &Parsed) -> Option<Decided>,
) -> Option<Decided> {
    let parsed = options::parse(args, known).ok()?;
    call.server(|server, _: &State| {
        let seen = Seen {
            server,
            files: &server.pmxcfs.replica.ha,
        };
        how(&seen, &parsed)
    })
    .flatten()
}

fn refused(text: impl Into<String>) -> Reply {
    Reply::fail(255, format!("{}\n", text.into()))
}

fn queue(line: String) -> Option<Decided> {
    Some(Ok(Box::new(move |files| files.commands.push(line.clone()))))
}

fn requested(word: &str) -> Result<Requested, Reply> {
    let word = if word == "enabled" { "started" } else { word };
    Requested::from_word(word).ok_or_else(|| {
        let text = "400 Parameter verification failed.\nstate: value does not have a value in the enumeration 'started, stopped, enabled, \
                    disabled, ignored'\n";
        Reply::fail(255, text)
    })
}

/// Takes over what the options say of a resource.
fn apply(resource: &mut Resource, parsed: &Parsed) -> Result<(), Reply> {
    for key in parsed.option("delete").unwrap_or_default().split(',') {
        match key {
            "state" => resource.state = None,
            "max_restart" => resource.max_restart = None,
            "max_relocate" => resource.max_relocate = None,
            "failback" => resource.failback = None,
            "group" => resource.group = None,
            "comment" => resource.comment = None,
            _ => {}
        }
    }
    if let Some(word) = parsed.option("state") {
        resource.state = Some(requested(word)?);
    }
    let number = |key: &str| parsed.option(key).and_then(|value| value.parse::<u32>().ok());
    resource.max_restart = number("max_restart").or(resource.max_restart);
    resource.max_relocate = number("max_relocate").or(resource.max_relocate);
    resource.failback = parsed
        .option("failback")
        .map(|value| value == "1")
        .or(resource.failback);
    resource.group = parsed.option("group").map(str::to_owned).or(resource.group.take());
    resource.comment = parsed.option("comment").map(str::to_owned).or(resource.comment.take());
    Ok(())
}

/// Groups are gone where there are rules, and `failback` is a key of theirs.
fn group_is_right(seen: &Seen<'_>, parsed: &Parsed) -> Result<(), Reply> {
    match (seen.server.has_ha_rules(), parsed.option("group")) {
        (true, Some(_)) => Err(refused(
            "invalid parameter 'group': ha groups have been migrated to rules",
        )),
        (false, Some(group))
            if !ha_sections::parse(&seen.files.groups)
                .iter()
                .any(|section| section.name == group) =>
        {
            Err(refused(format!("HA group '{group}' does not exist")))
        }
        _ => Ok(()),
    }
}

fn add(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [word] = parsed.words.as_slice() else { return None };
    Some(added(seen, word, parsed))
}

fn added(seen: &Seen<'_>, word: &str, parsed: &Parsed) -> Decided {
    let sid = seen.sid(word)?;
    let (kind, id) = sid.split_once(':').unwrap_or_default();
    let guest = id
        .parse::<u32>()
        .ok()
        .and_then(|vmid| seen.server.pmxcfs.replica.guests.get(&vmid));
    match guest {
        None => return Err(Reply::fail(17, format!("resource '{sid}' does not exist in cluster\n"))),
        Some(guest) if guest.kind.sid_type() != kind => {
            let what = if kind == "vm" { "VM" } else { "CT" };
            return Err(refused(format!(
                "resource '{sid}' - guest with ID {id} is not a {what}"
            )));
        }
        Some(_) => {}
    }
    if seen.files.resources.contains_key(&sid) {
        let text = format!("create resource failed: resource ID '{sid}' already defined");
        return Err(refused(text));
    }
    group_is_right(seen, parsed)?;
    let mut resource = Resource::default();
    apply(&mut resource, parsed)?;
    Ok(Box::new(move |files| {
        files.resources.insert(sid.clone(), resource.clone());
    }))
}

fn set(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [word] = parsed.words.as_slice() else { return None };
    Some(changed(seen, word, parsed))
}

fn changed(seen: &Seen<'_>, word: &str, parsed: &Parsed) -> Decided {
    let sid = seen.sid(word)?;
    let Some(resource) = seen.files.resources.get(&sid) else {
        return Err(refused(format!("update resource failed: no such resource '{sid}'")));
    };
    group_is_right(seen, parsed)?;
    let mut resource = resource.clone();
    apply(&mut resource, parsed)?;
    Ok(Box::new(move |files| {
        files.resources.insert(sid.clone(), resource.clone());
    }))
}

fn remove(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [word] = parsed.words.as_slice() else { return None };
    let sid = match seen.sid(word) {
        Ok(sid) => sid,
        Err(reply) => return Some(Err(reply)),
    };
    if !seen.files.resources.contains_key(&sid) {
        let text = format!("delete resource failed: cannot delete service '{sid}', not HA managed!");
        return Some(Err(refused(text)));
    }
    // Rules are rid of it, too, and those that are empty then go.
    let purges = seen.server.has_ha_rules() && parsed.option("purge") != Some("0");
    Some(Ok(Box::new(move |files| {
        files.resources.remove(&sid);
        if !purges {
            return;
        }
        let mut rules = ha_sections::parse(&files.rules);
        for rule in &mut rules {
            let left: Vec<&str> = rule
                .list("resources")
                .into_iter()
                .filter(|other| *other != sid)
                .collect();
            let left = left.join(",");
            rule.keys.insert("resources".to_owned(), left);
        }
        rules.retain(|rule| !rule.list("resources").is_empty());
        files.rules = ha_sections::render(&rules);
    })))
}

fn to_node(seen: &Seen<'_>, motion: &str, parsed: &Parsed) -> Option<Decided> {
    let [word, node] = parsed.words.as_slice() else {
        return None;
    };
    Some(seen.managed(word).and_then(|sid| {
        if !seen.is_node(node) {
            let text = format!("400 Parameter verification failed.\nnode: no such cluster node '{node}'\n");
            return Err(Reply::fail(255, text));
        }
        let manager = seen.files.manager.as_ref();
        let fails = manager.is_some_and(|manager| {
            let of_it = manager
                .content
                .service_status
                .iter()
                .find(|(other, _)| other.as_str() == sid);
            of_it.is_some_and(|(_, status)| status.state == quorate_lab_ha::model::ServiceState::Error)
        });
        if fails {
            return Err(refused(format!(
                "service '{sid}' in error state, must be disabled and fixed first"
            )));
        }
        let line = format!("{motion} {sid} {node}");
        Ok(Box::new(move |files: &mut HaFiles| files.commands.push(line.clone()))
            as Box<dyn Fn(&mut HaFiles) + Send + Sync>)
    }))
}

fn stop(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [word, timeout] = parsed.words.as_slice() else {
        return None;
    };
    match seen.managed(word) {
        Ok(sid) => queue(format!("stop {sid} {timeout}")),
        Err(reply) => Some(Err(reply)),
    }
}

fn maintenance(seen: &Seen<'_>, way: &str, parsed: &Parsed) -> Option<Decided> {
    let [node] = parsed.words.as_slice() else { return None };
    if !seen.is_node(node) {
        let text = format!("400 Parameter verification failed.\nnode: no such cluster node '{node}'\n");
        return Some(Err(Reply::fail(255, text)));
    }
    queue(format!("{way}-node-maintenance {node}"))
}

fn arming(call: &Call, word: &str, line: &str) -> Option<Decided> {
    if call.server(|server, _| server.can_disarm()) == Some(true) {
        return queue(line.to_owned());
    }
    let text = format!("ERROR: unknown command 'ha-manager crm-command {word}'\n{USAGE}");
    Some(Err(Reply::fail(255, text)))
}

fn rule(seen: &Seen<'_>, kind: &str, parsed: &Parsed, new: bool) -> Option<Decided> {
    let [name] = parsed.words.as_slice() else { return None };
    if !["node-affinity", "resource-affinity"].contains(&kind) {
        return None;
    }
    Some(ruled(seen, kind, name, parsed, new))
}

fn ruled(seen: &Seen<'_>, kind: &str, name: &str, parsed: &Parsed, new: bool) -> Decided {
    if !seen.server.has_ha_rules() {
        return Err(refused(format!("ERROR: unknown command 'ha-manager rules'\n{USAGE}")));
    }
    if !seen.files.groups.is_empty() {
        return Err(refused("cannot create ha rule: ha groups have not been migrated yet"));
    }
    let mut sections = ha_sections::parse(&seen.files.rules);
    let place = sections.iter().position(|section| section.name == name);
    let section = match (new, place) {
        (true, Some(_)) => return Err(refused(format!("HA rule '{name}' already defined"))),
        (false, None) => return Err(refused(format!("HA rule '{name}' does not exist"))),
        (true, None) => Section {
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Section::default()
        },
        (false, Some(place)) => sections.remove(place),
    };
    let section = with_options(section, parsed);
    let foreign: Vec<&str> = section
        .list("resources")
        .into_iter()
        .filter(|sid| !seen.files.resources.contains_key(*sid))
        .collect();
    if !foreign.is_empty() {
        return Err(refused(format!(
            "cannot use unmanaged resource(s) {}.",
            foreign.join(", ")
        )));
    }
    let nowhere: Vec<&str> = section
        .list("nodes")
        .into_iter()
        .filter(|node| !seen.is_node(node))
        .collect();
    if !nowhere.is_empty() {
        return Err(refused(format!(
            "cannot use non-existent node(s) {}.",
            nowhere.join(", ")
        )));
    }
    if kind == "node-affinity" {
        let others = sections.iter().filter(|other| other.kind == kind);
        let taken: Vec<&str> = others.flat_map(|other| other.list("resources")).collect();
        if let Some(sid) = section.list("resources").into_iter().find(|sid| taken.contains(sid)) {
            let text = format!(
                "400 Parameter verification failed.\nresources: resource '{sid}' is already used in another node affinity rule\n\
                 Rule '{name}' is invalid.\n"
            );
            return Err(Reply::fail(255, text));
        }
    } else if section.list("resources").len() < 2 {
        let text = format!(
            "400 Parameter verification failed.\nresources: rule is ineffective as there are less than two resources\n\
             Rule '{name}' is invalid.\n"
        );
        return Err(Reply::fail(255, text));
    }
    match place {
        Some(place) => sections.insert(place, section),
        None => sections.push(section),
    }
    let text = ha_sections::render(&sections);
    Ok(Box::new(move |files| text.clone_into(&mut files.rules)))
}

fn with_options(mut section: Section, parsed: &Parsed) -> Section {
    for key in parsed.option("delete").unwrap_or_default().split(',') {
        section.keys.remove(key);
    }
    for (key, value) in &parsed.options {
        match (key.as_str(), value.as_str()) {
            // `delete $param->{disable} if !$param->{disable}`: what is off stays off. Source: pve-ha-manager PVE/API2/HA/Rules.pm (`update_rule`).
            ("delete", _) | ("disable", "0") => {}
            ("strict" | "restricted" | "nofailback", "0") => {
                section.keys.remove(key);
            }
            _ => {
                section.keys.insert(key.clone(), value.clone());
            }
        }
    }
    section
}

fn remove_rule(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [name] = parsed.words.as_slice() else { return None };
    let mut sections = ha_sections::parse(&seen.files.rules);
    let before = sections.len();
    sections.retain(|section| section.name != *name);
    if sections.len() == before {
        return Some(Err(refused(format!("HA rule '{name}' does not exist"))));
    }
    let text = ha_sections::render(&sections);
    Some(Ok(Box::new(move |files| text.clone_into(&mut files.rules))))
}

fn group(seen: &Seen<'_>, parsed: &Parsed, new: bool) -> Option<Decided> {
    let [name] = parsed.words.as_slice() else { return None };
    if seen.server.has_ha_rules() {
        return Some(Err(refused(
            "cannot create group: ha groups have been migrated to rules",
        )));
    }
    let mut sections = ha_sections::parse(&seen.files.groups);
    let place = sections.iter().position(|section| section.name == *name);
    let section = match (new, place) {
        (true, Some(_)) => {
            return Some(Err(refused(format!(
                "create ha group failed: group ID '{name}' already defined"
            ))));
        }
        (false, None) => {
            return Some(Err(refused(format!(
                "update ha group failed: no such ha group '{name}'"
            ))));
        }
        (true, None) => Section {
            kind: "group".to_owned(),
            name: name.clone(),
            ..Section::default()
        },
        (false, Some(place)) => sections.remove(place),
    };
    sections.insert(place.unwrap_or(sections.len()), with_options(section, parsed));
    let text = ha_sections::render(&sections);
    Some(Ok(Box::new(move |files| text.clone_into(&mut files.groups))))
}

fn remove_group(seen: &Seen<'_>, parsed: &Parsed) -> Option<Decided> {
    let [name] = parsed.words.as_slice() else { return None };
    let user = seen
        .files
        .resources
        .iter()
        .find(|(_, resource)| resource.group.as_ref() == Some(name));
    if let Some((sid, _)) = user {
        let text = format!("delete group failed: group '{name}' is used by service '{sid}'");
        return Some(Err(refused(text)));
    }
    let mut sections = ha_sections::parse(&seen.files.groups);
    sections.retain(|section| section.name != *name);
    let text = ha_sections::render(&sections);
    Some(Ok(Box::new(move |files| text.clone_into(&mut files.groups))))
}

/// Writes below the cluster-wide lock of the domain `ha`.
async fn commit(call: &Call, change: Box<dyn Fn(&mut HaFiles) + Send + Sync>) -> Result<i32, Stop> {
    // Writes block while a membership is undecided.
    while call.world.with(|state| state.is_undecided(call.node)) {
        call.io.pause(Duration::from_millis(200)).await?;
    }
    let written = call
        .world
        .with(|state| state.write(call.node, |replica| change(&mut replica.ha)));
    match written {
        Ok(()) => Ok(0),
        Err(_) => {
            call.reply(0, Reply::fail(13, "cfs-lock 'domain-ha' error: no quorum!\n"))
                .await
        }
    }
}

const USAGE: &str = "USAGE: ha-manager crm-command <COMMAND> [ARGS] [OPTIONS]

       ha-manager crm-command migrate <sid> <node>
       ha-manager crm-command node-maintenance disable <node>
       ha-manager crm-command node-maintenance enable <node>
       ha-manager crm-command relocate <sid> <node>
       ha-manager crm-command stop <sid> <timeout>
";
