//! `nft`: tables with sets whose elements have timeouts. Of rules it knows those that let packets fall by such a set, by the sets' names.

use std::time::Duration;

use serde_json::{Value, json};

use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::world::nft::{Element, Nft, Set, Table};

const COST: u64 = 8;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    if args == ["-f", "-"] {
        return load(call).await;
    }
    let reply = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        let now = state.now;
        match args[..] {
            ["-j", "list", "tables"] => Some(Reply::ok(document(tables(&server.nft)))),
            ["-j", "list", "table", family, name] => Some(match server.nft.tables.get(&key(family, name)) {
                Some(table) => Reply::ok(document(whole(family, name, table, now))),
                None => missing("Error: ", args.get(1..).unwrap_or_default(), name),
            }),
            ["delete", "table", family, name] => Some(match server.nft.tables.remove(&key(family, name)) {
                Some(_) => Reply::default(),
                None => missing("Error: Could not process rule: ", &args, name),
            }),
            ["flush", "set", family, name, set] => {
                let table = server.nft.tables.get_mut(&key(family, name));
                Some(match table.and_then(|table| table.sets.get_mut(set)) {
                    Some(set) => {
                        set.elements.clear();
                        Reply::default()
                    }
                    None => missing("Error: ", &args, name),
                })
            }
            _ => None,
        }
    });
    match reply {
        Some(reply) => {
            call.world.with(|_| ());
            call.reply(COST, reply).await
        }
        None => unknown(call).await,
    }
}

fn key(family: &str, name: &str) -> (String, String) {
    (family.to_owned(), name.to_owned())
}

/// nft repeats the command and underlines the name.
fn missing(prefix: &str, words: &[&str], name: &str) -> Reply {
    let line = words.join(" ");
    let at = line.find(name).unwrap_or(0);
    let marks = "^".repeat(name.len());
    Reply::fail(
        1,
        format!("{prefix}No such file or directory\n{line}\n{}{marks}\n", " ".repeat(at)),
    )
}

fn document(mut objects: Vec<Value>) -> String {
    let meta =
        json!({ "metainfo": { "version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1 } });
    objects.insert(0, meta);
    format!("{}\n", json!({ "nftables": objects }))
}

fn tables(nft: &Nft) -> Vec<Value> {
    let keys = nft.tables.keys().zip(1..);
    keys.map(|((family, name), handle)| json!({ "table": { "family": family, "name": name, "handle": handle } }))
        .collect()
}

fn whole(family: &str, name: &str, table: &Table, now: Duration) -> Vec<Value> {
    let mut objects = vec![json!({ "table": { "family": family, "name": name, "handle": 1 } })];
    for (set, content) in &table.sets {
        let kind = match content.kind.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        let mut object =
            json!({ "family": family, "name": set, "table": name, "type": kind, "handle": 1, "flags": ["timeout"] });
        if !content.elements.is_empty() {
            let elements = content.elements.iter().map(|element| {
                let value = match element.values.as_slice() {
                    [one] => json!(one),
                    several => json!({ "concat": several }),
                };
                let left = element.until.saturating_sub(now).as_secs();
                json!({ "elem": { "val": value, "timeout": element.timeout.as_secs(), "expires": left } })
            });
            let elements: serde_json::Value = elements.collect();
            if let Some(fields) = object.as_object_mut() {
                fields.insert("elem".to_owned(), elements);
            }
        }
        objects.push(json!({ "set": object }));
    }
    let chains = table.chains.iter().zip(1..);
    objects.extend(chains.map(|(chain, handle)| {
        json!({ "chain": { "family": family, "table": name, "name": chain, "handle": handle, "type": "filter" } })
    }));
    objects
}

async fn load(call: &Call) -> Result<i32, Stop> {
    let mut lines = Vec::new();
    while let Some(line) = call.io.line().await? {
        lines.push(line);
    }
    call.io.pause(Duration::from_millis(COST)).await?;
    let speed = |real: Duration| call.world.pace.simulated(real);
    let Some((family, name, table)) = parse(&lines, speed) else {
        return unknown(call).await;
    };
    let loaded = call.world.with(|state| {
        let now = state.now;
        let server = state.servers.get_mut(call.node)?;
        if server.nft.tables.contains_key(&key(&family, &name)) {
            return None;
        }
        let mut table = table;
        for element in table.sets.values_mut().flat_map(|set| &mut set.elements) {
            element.until = now + element.timeout;
        }
        server.nft.tables.insert(key(&family, &name), table);
        state.tell_of_packets(call.node);
        Some(())
    });
    if loaded.is_none() {
        let first = lines.first().cloned().unwrap_or_default();
        let at = first.find(&name).unwrap_or(0);
        let text = format!(
            "/dev/stdin:1:{}-{}: Error: Could not process rule: File exists\n{first}\n{}{}\n",
            at + 1,
            at + name.len(),
            " ".repeat(at),
            "^".repeat(name.len())
        );
        return call.reply(0, Reply::fail(1, text)).await;
    }
    // What follows at once is there when the command ends.
    call.world.with(|_| ());
    Ok(0)
}

/// One table: `create table FAMILY NAME`, then the same with its sets and chains. Timeouts are real time.
fn parse(lines: &[String], simulated: impl Fn(Duration) -> Duration) -> Option<(String, String, Table)> {
    let mut words = lines.first()?.strip_prefix("create table ")?.split(' ');
    let (family, name) = (words.next()?.to_owned(), words.next()?.to_owned());
    if *lines.get(1)? != format!("table {family} {name} {{") {
        return None;
    }
    let mut table = Table::default();
    for line in lines.iter().skip(2).map(|line| line.trim()) {
        if let Some(rest) = line.strip_prefix("set ") {
            let (set, rest) = rest.split_once(" { type ")?;
            let (kind, rest) = rest.split_once("; flags timeout; elements = { ")?;
            let elements = rest.strip_suffix(" } }")?.split(", ");
            let elements = elements.map(|element| {
                let (value, timeout) = element.split_once(" timeout ")?;
                let milliseconds = timeout.strip_suffix("ms")?.parse().ok()?;
                Some(Element {
                    values: value
                        .split(" . ")
                        .map(|word| word.trim_matches('"').to_owned())
                        .collect(),
                    timeout: simulated(Duration::from_millis(milliseconds)),
                    until: Duration::ZERO,
                })
            });
            let set_of = Set {
                kind: kind.split(" . ").map(str::to_owned).collect(),
                elements: elements.collect::<Option<_>>()?,
            };
            table.sets.insert(set.to_owned(), set_of);
        } else if let Some(chain) = line.strip_prefix("chain ") {
            table.chains.push(chain.strip_suffix(" {")?.to_owned());
        }
    }
    Some((family, name, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_and_shown_as_nft_does() {
        let text = "create table inet quorate_fault_x\ntable inet quorate_fault_x {\n\tset own4 { type ipv4_addr . inet_service; flags timeout; elements = { 10.10.10.1 . 5405 timeout 2000ms } }\n\tchain input {\n\t}\n}";
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (family, name, table) = parse(&lines, |real| real * 10).unwrap();
        assert_eq!((family.as_str(), name.as_str()), ("inet", "quorate_fault_x"));
        assert_eq!(table.sets["own4"].elements[0].values, ["10.10.10.1", "5405"]);
        assert_eq!(table.sets["own4"].elements[0].timeout, Duration::from_secs(20));
        let shown = document(whole("inet", "quorate_fault_x", &table, Duration::ZERO));
        assert!(shown.contains(r#""concat":["10.10.10.1","5405"]"#), "{shown}");
        assert!(parse(&["add table inet x".to_owned()], |real| real).is_none());
    }
}
