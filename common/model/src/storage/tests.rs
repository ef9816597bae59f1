use super::*;

fn wanted() -> StorageDefinition {
    StorageDefinition {
        name: "data_zfs".parse().unwrap(),
        kind: StorageKind::Zfspool,
        properties: BTreeMap::from([(Property::Pool, "data_zfs".into()), (Property::Thin, "1".into())]),
        content: BTreeSet::from([Content::Images, Content::Rootdir]),
        nodes: Some(["prox1", "prox2"].map(|n| n.parse().unwrap()).into()),
    }
}

fn there(kind: &str, properties: &[(&str, &str)]) -> DefinedStorage {
    DefinedStorage {
        id: "data_zfs".to_owned(),
        kind: kind.to_owned(),
        properties: properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn told(kind: &str, properties: &[(&str, &str)]) -> Vec<(String, Remedy)> {
    let all = wanted().differences(&there(kind, properties));
    all.into_iter().map(|d| (d.to_string(), d.remedy)).collect()
}

#[test]
fn lists_have_no_order_and_a_switch_may_be_a_word_alone() {
    let same = [
        ("pool", "data_zfs"),
        ("content", "rootdir,images"),
        ("nodes", "prox2 prox1"),
        ("sparse", ""),
        ("mountpoint", "/data_zfs"),
    ];
    assert_eq!(told("zfspool", &same), []);
}

#[test]
fn what_differs_is_told_with_what_may_be_done_about_it() {
    let other = [
        ("pool", "rpool/data"),
        ("content", "images"),
        ("nodes", "prox1"),
        ("disable", ""),
    ];
    let expected = [
        ("pool is rpool/data, not data_zfs", Remedy::Never),
        ("thin is not set, not 1", Remedy::ByHand),
        ("content is images, not images,rootdir", Remedy::Extend),
        ("nodes is prox1, not prox1,prox2", Remedy::Extend),
        ("disable is 1, not 0", Remedy::ByHand),
    ];
    assert_eq!(told("zfspool", &other), expected.map(|(text, r)| (text.to_owned(), r)));
    let wider = [("pool", "data_zfs"), ("sparse", "1"), ("content", "images,rootdir,iso")];
    let expected = [
        ("content is images,iso,rootdir, not images,rootdir", Remedy::ByHand),
        ("nodes is all, not prox1,prox2", Remedy::ByHand),
    ];
    assert_eq!(told("zfspool", &wider), expected.map(|(text, r)| (text.to_owned(), r)));
    assert_eq!(
        told("dir", &wider),
        [("type is dir, not zfspool".to_owned(), Remedy::Never)]
    );
}

#[test]
fn a_definition_that_pvesm_would_misunderstand_is_refused() {
    assert_eq!(wanted().check(), Ok(()));
    let refused = |change: &dyn Fn(&mut StorageDefinition)| {
        let mut definition = wanted();
        change(&mut definition);
        definition.check().unwrap_err()
    };
    let set = |property, value: &str| {
        let value = value.to_owned();
        move |d: &mut StorageDefinition| {
            d.properties.insert(property, value.clone());
        }
    };
    let said = [
        (refused(&|d| drop(d.properties.remove(&Property::Pool))), "has no pool"),
        (refused(&set(Property::Server, "a")), "has no server"),
        (refused(&set(Property::Pool, "--password")), "begins with a hyphen"),
        (refused(&set(Property::Pool, "a\nb")), "has blanks"),
        (refused(&set(Property::Mountpoint, "/a/../b")), "is no path"),
        (
            refused(&|d| d.content = [Content::Iso].into()),
            "a storage of the kind zfspool keeps no iso",
        ),
        (refused(&|d| d.nodes = Some(BTreeSet::new())), "is on no node"),
    ];
    for (said, words) in said {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn values_are_compared_as_pve_takes_them() {
    for (property, one, other, same) in [
        (Property::Fingerprint, "AB:cd", "ab:CD", true),
        (
            Property::PruneBackups,
            "keep-last=3,keep-daily=7",
            "keep-daily=7,keep-last=3",
            true,
        ),
        (Property::Export, "/a/", "/a", true),
        (Property::Krbd, "yes", "1", true),
        (Property::Pool, "a", "A", false),
    ] {
        assert_eq!(property.same(one, other), same, "{property} {one} {other}");
    }
}
