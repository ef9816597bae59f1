//! The texts that nft is given. A table that is there already is an error: nothing is ever added to one.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::{Family, Table};

/// The set of ports by which nothing passes.
pub const EVERYTHING: &str = "everything";
/// The set of ports by which nothing but corosync passes.
pub const GUESTS: &str = "guests";
/// The set of own IPv4 addresses with their port, at which nothing passes.
pub const OWN4: &str = "own4";
/// The same for IPv6.
pub const OWN6: &str = "own6";

/// Before everybody else's: what falls here is seen by no firewall.
const FIRST: i32 = -500;
/// As for `raw`: before connections are tracked.
const RAW: i32 = -300;

/// Ports by which nothing passes for the first time, and nothing but corosync's packets for the second; the talk of a bond with its switch always
/// does. Each port has chains of its own, on its way in and out. What lies between the two times is for what has to be done before guests are
/// reached again.
#[must_use]
pub fn ports(table: &Table, ports: &[String], corosync: &[u16], everything: Duration, guests: Duration) -> String {
    let mut text = head(table);
    for (set, time) in [(EVERYTHING, everything), (GUESTS, guests)] {
        let elements: Vec<String> = ports
            .iter()
            .map(|port| format!("\"{port}\" timeout {}", milliseconds(time)))
            .collect();
        add_set(&mut text, set, "ifname", &elements);
    }
    let numbers: Vec<String> = corosync.iter().map(ToString::to_string).collect();
    for (number, port) in ports.iter().enumerate() {
        for (way, hook, name, side) in [
            ("in", "ingress", "iifname", "dport"),
            ("out", "egress", "oifname", "sport"),
        ] {
            add(&mut text, &format!("\tchain {way}_{number} {{"));
            add(
                &mut text,
                &format!("\t\ttype filter hook {hook} device \"{port}\" priority {FIRST}; policy accept;"),
            );
            // LACP: without it the switch would take the port out of its bond, and the fault would not end with its time. It carries nothing else.
            add(&mut text, "\t\tmeta protocol 0x8809 accept");
            add(&mut text, &format!("\t\t{name} @{EVERYTHING} drop"));
            // Neighbours have to be found before corosync's packets can go to them. By the frame's protocol, which is that inside of a VLAN's tag:
            // `ether type` would look at the tag.
            add(&mut text, "\t\tmeta protocol arp accept");
            add(
                &mut text,
                "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
            );
            if !numbers.is_empty() {
                add(
                    &mut text,
                    &format!("\t\tudp {side} {{ {} }} accept", numbers.join(", ")),
                );
            }
            add(&mut text, &format!("\t\t{name} @{GUESTS} drop"));
            add(&mut text, "\t}");
        }
    }
    add(&mut text, "}");
    text
}

/// Own addresses with the UDP port of each, at which corosync sends and receives: nothing passes there for that time. These packets are the
/// server's own, so that the family that sees those is enough, whatever lies between: bridges, bonds, VLANs.
#[must_use]
pub fn addresses(table: &Table, own: &[(IpAddr, u16)], time: Duration) -> String {
    let mut text = head(table);
    let element = |(address, port): &(IpAddr, u16)| format!("{address} . {port} timeout {}", milliseconds(time));
    let sets = [(OWN4, "ipv4_addr", "ip", false), (OWN6, "ipv6_addr", "ip6", true)];
    let mut rules = [String::new(), String::new()];
    for (set, kind, protocol, six) in sets {
        let elements: Vec<String> = own
            .iter()
            .filter(|(address, _)| address.is_ipv6() == six)
            .map(element)
            .collect();
        if elements.is_empty() {
            continue;
        }
        add_set(&mut text, set, &format!("{kind} . inet_service"), &elements);
        for (rules, ends) in rules.iter_mut().zip(["daddr", "saddr"]) {
            let side = if ends == "daddr" { "dport" } else { "sport" };
            add(rules, &format!("\t\t{protocol} {ends} . udp {side} @{set} drop"));
        }
    }
    for (hook, rules) in ["input", "output"].into_iter().zip(rules) {
        add(&mut text, &format!("\tchain {hook} {{"));
        add(
            &mut text,
            &format!("\t\ttype filter hook {hook} priority {RAW}; policy accept;"),
        );
        text.push_str(&rules);
        add(&mut text, "\t}");
    }
    add(&mut text, "}");
    text
}

fn head(table: &Table) -> String {
    let Table { family, name } = table;
    let family: &Family = family;
    format!("create table {0} {name}\ntable {0} {name} {{\n", family.as_str())
}

fn add_set(text: &mut String, name: &str, kind: &str, elements: &[String]) {
    add(
        text,
        &format!(
            "\tset {name} {{ type {kind}; flags timeout; elements = {{ {} }} }}",
            elements.join(", ")
        ),
    );
}

fn add(text: &mut String, line: &str) {
    // Writing to a String can't fail.
    let _infallible = writeln!(text, "{line}");
}

/// nft takes no fractions; the kernel's own unit is finer than that.
fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_shut_in_two_stages_on_both_ways() {
        let table = Table::of(Family::Netdev, "hk1-9.1-cut.1");
        let text = ports(
            &table,
            &["eno1".into()],
            &[5405, 5406],
            Duration::from_secs(150),
            Duration::from_millis(180_500),
        );
        let wanted = "create table netdev quorate_fault_hk1_9.1_cut.1
table netdev quorate_fault_hk1_9.1_cut.1 {
\tset everything { type ifname; flags timeout; elements = { \"eno1\" timeout 150000ms } }
\tset guests { type ifname; flags timeout; elements = { \"eno1\" timeout 180500ms } }
\tchain in_0 {
\t\ttype filter hook ingress device \"eno1\" priority -500; policy accept;
\t\tmeta protocol 0x8809 accept
\t\tiifname @everything drop
\t\tmeta protocol arp accept
\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
\t\tudp dport { 5405, 5406 } accept
\t\tiifname @guests drop
\t}
\tchain out_0 {
\t\ttype filter hook egress device \"eno1\" priority -500; policy accept;
\t\tmeta protocol 0x8809 accept
\t\toifname @everything drop
\t\tmeta protocol arp accept
\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
\t\tudp sport { 5405, 5406 } accept
\t\toifname @guests drop
\t}
}
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn addresses_are_shut_for_corosync_alone() {
        let table = Table::of(Family::Inet, "hk1-9.1-link.1");
        let own = [
            ("10.10.10.1".parse().unwrap(), 5405),
            ("192.168.1.11".parse().unwrap(), 5406),
            ("fd00::1".parse().unwrap(), 5407),
        ];
        let wanted = "create table inet quorate_fault_hk1_9.1_link.1
table inet quorate_fault_hk1_9.1_link.1 {
\tset own4 { type ipv4_addr . inet_service; flags timeout; elements = { 10.10.10.1 . 5405 timeout 20000ms, 192.168.1.11 . 5406 timeout 20000ms } }
\tset own6 { type ipv6_addr . inet_service; flags timeout; elements = { fd00::1 . 5407 timeout 20000ms } }
\tchain input {
\t\ttype filter hook input priority -300; policy accept;
\t\tip daddr . udp dport @own4 drop
\t\tip6 daddr . udp dport @own6 drop
\t}
\tchain output {
\t\ttype filter hook output priority -300; policy accept;
\t\tip saddr . udp sport @own4 drop
\t\tip6 saddr . udp sport @own6 drop
\t}
}
";
        assert_eq!(addresses(&table, &own, Duration::from_secs(20)), wanted);
        let four = addresses(&table, &own[..1], Duration::from_secs(20));
        assert!(!four.contains("own6"), "{four}");
    }
}
