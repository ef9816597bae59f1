//! Each rule by files that break it: what is said, and to which line and column it points.

use super::problems;
use crate::spec::ClusterFile;

/// What stands in `[cluster]`, `[nodes.prox1]`, `[nodes.prox2]` (each beside name or address) and after them.
type Case = [&'static str; 4];

/// Every case as it is written, and what is said of it.
fn told(cases: &[Case]) -> String {
    cases
        .iter()
        .map(|[cluster, prox1, prox2, rest]| {
            let file = format!(
                "[cluster]\nname = \"hk1\"\n{cluster}\n[nodes.prox1]\naddress = \"192.168.1.11\"\n{prox1}\n\
                 [nodes.prox2]\naddress = \"192.168.1.12\"\n{prox2}\n{rest}\n"
            );
            let lines = file.lines().enumerate();
            let own =
                lines.filter(|(_, l)| !l.is_empty() && [cluster, prox1, prox2, rest].iter().any(|c| c.contains(l)));
            let written: String = own.map(|(n, line)| format!("{:>3} | {line}\n", n + 1)).collect();
            format!("{written}{}\n\n", problems(&file).join("\n"))
        })
        .collect()
}

const BOTH: &str = r#"links = ["10.10.10.0/24", "192.168.1.0/24"]"#;
const NINE: &str = r#"links = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16", "10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16"]"#;

#[test]
fn links_of_the_cluster() {
    insta::assert_snapshot!(told(&[
        ["links = []", "", "", ""],
        [r#"links = "10.10.10.0/24""#, "", "", ""],
        [r#"links = [7, { network = "10.0.0.1/8" }]"#, "", "", ""],
        [r#"links = [{ network = "10.0.0.0/8", priority = 256 }]"#, "", "", ""],
        [r#"links = [{ network = "10.0.0.0/8", prio = -1 }]"#, "", "", ""],
        [r#"links = [{ network = "10.0.0.0/8", priority = "high" }]"#, "", "", ""],
        [
            r#"links = ["10.0.0.0/8", { network = "10.1.0.0/16", priority = 2 }]"#,
            "",
            "",
            ""
        ],
        [NINE, "", "", ""],
    ]));
}

#[test]
fn links_without_a_network_need_every_nodes_addresses() {
    insta::assert_snapshot!(told(&[
        [r#"links = ["10.10.10.0/24", { priority = 20 }]"#, "", "", ""],
        ["links = [{ priority = 20 }]", r#"links = ["10.10.10.11"]"#, "", ""],
        ["", "", r#"links = ["10.10.10.12", "10.11.11.12"]"#, ""],
    ]));
}

#[test]
fn addresses_on_links() {
    insta::assert_snapshot!(told(&[
        [BOTH, r#"links = ["10.10.10.11"]"#, "", ""],
        [BOTH, r#"links = ["192.168.1.11", "10.10.10.11"]"#, "", ""],
        [BOTH, r#"links = ["10.10.10.11", "prox1.example"]"#, "", ""],
        [BOTH, "links = []", "", ""],
        ["", r#"links = ["127.0.0.1"]"#, r#"links = ["10.10.10.12"]"#, ""],
        [
            "",
            r#"links = ["10.10.10.11"]"#,
            r#"links = ["10.10.10.12", "10.11.11.12"]"#,
            ""
        ],
        ["", r#"links = ["10.10.10.11"]"#, r#"links = ["fd00::12"]"#, ""],
    ]));
}

#[test]
fn addresses_that_can_carry_no_link() {
    let addresses = [
        "fe80::12",
        "169.254.3.4",
        "255.255.255.255",
        "::ffff:10.10.10.12",
        "224.0.0.1",
        "0.0.0.0",
    ];
    for address in addresses {
        let file = format!(
            "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"{address}\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n"
        );
        let told = problems(&file).join("\n");
        assert!(
            told.contains("is no address that other servers could reach"),
            "{address}: {told}"
        );
    }
    for network in [
        "0.0.0.0/0",
        "::/0",
        "127.0.0.0/8",
        "224.0.0.0/4",
        "fe80::/10",
        "169.254.0.0/16",
        "ff02::/16",
    ] {
        let file =
            format!("[cluster]\nname = \"hk1\"\nlinks = [\"{network}\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n");
        let told = problems(&file).join("\n");
        assert!(
            told.contains("is no network that servers could share a link in"),
            "{network}: {told}"
        );
    }
}

#[test]
fn servers_addresses_are_of_one_family_where_they_are_the_link() {
    let mixed = "[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"fd00::12\"\n";
    let told = problems(&format!("[cluster]\nname = \"hk1\"\n{mixed}")).join("\n");
    assert!(told.contains("one of them is IPv4 and the other IPv6"), "{told}");
    // With links of their own, the servers may be called by whatever they like; and a host that doesn't vote has no link.
    let fine = [
        format!("[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n{mixed}"),
        format!(
            "[cluster]\nname = \"hk1\"\n{}role = \"qnetd\"\n",
            mixed.replace("prox2", "vote")
        ),
    ];
    for file in fine {
        assert!(crate::spec::ClusterFile::parse("hk1.toml", &file).is_ok(), "{file}");
    }
}

#[test]
fn no_address_twice_anywhere() {
    insta::assert_snapshot!(told(&[
        [
            "",
            r#"links = ["10.10.10.11", "10.10.10.11"]"#,
            r#"links = ["10.10.10.12", "10.11.11.12"]"#,
            ""
        ],
        [
            "",
            r#"links = ["192.168.1.11", "192.168.1.11"]"#,
            r#"links = ["10.10.10.12", "10.11.11.12"]"#,
            ""
        ],
        ["", r#"links = ["10.10.10.11"]"#, r#"links = ["10.10.10.11"]"#, ""],
        ["", r#"links = ["192.168.1.12"]"#, r#"links = ["10.10.10.12"]"#, ""],
        ["", "", "", "[nodes.box1]\naddress = \"192.168.1.12\"\nrole = \"qnetd\""],
    ]));
}

#[test]
fn roles_and_the_third_vote() {
    let linked = "[nodes.box1]\naddress = \"192.168.1.20\"\nrole = \"qnetd\"\nlinks = [\"10.10.10.20\"]";
    insta::assert_snapshot!(told(&[
        ["", r#"role = "qnetdd""#, r#"role = "boss""#, ""],
        ["", "role = 1", "", ""],
        ["", r#"role = "witness""#, r#"role = "qnetd""#, ""],
        [r#"third_vote = { qdevice = "box1" }"#, "", "", ""],
        [r#"third_vote = { qdevice = "prox2" }"#, "", "", ""],
        [r#"third_vote = { qdevice = "box_1" }"#, "", "", ""],
        ["third_vote = {}", "", "", ""],
        ["third_vote = true", "", "", ""],
        [BOTH, "", "", linked],
    ]));
}

#[test]
fn networks_and_windows() {
    insta::assert_snapshot!(told(&[
        [r#"migration_network = "10.10.10.7/24""#, "", "", ""],
        [r#"maintenance = ["22:00-05:00", "sat 22:00-04:00"]"#, "", "", ""],
        ["maintenance = []", "", "", ""],
        [r#"maintenance = "22:00-05:00""#, "", "", ""],
    ]));
}

#[test]
fn problems_of_all_tables_come_together() {
    insta::assert_snapshot!(told(&[[
        "links = [{ priority = 300 }, \"10.10.10.0\"]\nthird_vote = { qdevice = \"prox1\" }\nmaintenance = [\"soon\"]",
        "role = \"whitness\"\nlinks = [\"10.10.10.11\"]",
        "link = [\"10.10.10.12\"]",
        "[ceph]",
    ]]));
}

#[test]
fn disks_of_pools() {
    let said = |rest: &str| {
        let text =
            format!("[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[zfs.data_zfs]\n{rest}\n");
        let fine = ClusterFile::parse("hk1.toml", &text).is_ok();
        if fine { Vec::new() } else { problems(&text) }
    };
    let twice = said("raid = \"mirror\"\ndisks.prox1 = [\"S1\", \"S2\", \"/dev/disk/by-id/S1\"]");
    assert_eq!(
        twice,
        ["7:28 QRT-SPEC-BAD-VALUE the disk `S1` is named twice -> name each disk once"]
    );
    let special = |raid: &str, data: &str, special: u8| {
        said(&format!(
            "raid = \"{raid}\"\ndisks = {{ {data} }}\nspecial = {{ count = {special} }}"
        ))
    };
    for (raid, data, right) in [
        ("single", "count = 1", 1),
        ("mirror", "count = 2", 2),
        ("mirror", "count = 3", 3),
        ("raid10", "count = 4", 2),
        ("raidz", "kind = \"hdd\"", 2),
        ("raidz2", "count = 6", 3),
        ("raidz3", "count = 6", 4),
    ] {
        for count in 1..=5 {
            let said = special(raid, data, count);
            assert_eq!(
                said.is_empty(),
                count == right,
                "{raid} {data}, {count} special: {said:?}"
            );
        }
    }
    // Of a mirror of all disks that fit, it can be told only once they are seen.
    assert_eq!(special("mirror", "kind = \"hdd\"", 4), [""; 0]);
    assert_eq!(
        special("raidz2", "count = 6", 2),
        [
            "8:21 QRT-SPEC-BAD-VALUE special disks are to survive what the data does, the loss of 2: that takes 3, and 2 are asked for \
          -> name another number of disks, or another layout"
        ]
    );
}

#[test]
fn a_pool_without_a_storage_says_nothing_of_one() {
    let told = |keys: &str| {
        problems(&format!(
            "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
             [zfs.data_zfs]\nraid = \"mirror\"\ndisks = {{ count = 2 }}\n{keys}"
        ))
    };
    for key in ["thin = false", "content = [\"images\"]"] {
        let name = key.split(' ').next().unwrap();
        let said = told(&format!("storage = false\n{key}\n"));
        let expected = format!("[zfs.data_zfs] has `{name}` and registers no storage");
        assert!(said.len() == 1 && said[0].contains(&expected), "{said:?}");
    }
}

#[test]
fn what_is_wrong_at_the_end_of_the_file_is_shown_within_it() {
    for text in [
        "",
        "\u{fc}",
        "[cluster]\nname =",
        "[cluster]\nname = \"hk1\"\nlinks = [",
    ] {
        let findings = ClusterFile::parse("hk1.toml", text).unwrap_err();
        let places: Vec<_> = findings.iter().filter_map(|finding| finding.place.as_ref()).collect();
        assert!(!places.is_empty(), "{text:?}");
        for place in places {
            let (from, length) = (place.offset as usize, place.length as usize);
            assert!(text.get(from..from + length).is_some(), "{text:?}: {place:?}");
        }
    }
}
