//! The JSON Schema beside the reader: it allows whatever the reader allows, and both come from one table of keys.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::spec::keys::{Key, KeyTable, Kind, TABLES};

fn as_json(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

fn as_toml(value: &Value) -> String {
    toml::to_string(value).unwrap()
}

fn allowed(value: &Value) -> bool {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());
    VALIDATOR.is_valid(value)
}

fn read(value: &Value) -> bool {
    ClusterFile::parse("x.toml", &as_toml(value)).is_ok()
}

#[test]
fn it_is_a_json_schema() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn the_guides_examples_are_allowed() {
    for text in [THREE_NODES, QDEVICE, GOOD] {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let against: Vec<String> = validator.iter_errors(&as_json(text)).map(|e| e.to_string()).collect();
        assert_eq!(against, [""; 0]);
    }
}

#[test]
fn it_refuses_what_the_reader_refuses_for_its_shape() {
    let good = as_json(QDEVICE);
    let change = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    for bad in [
        json!({}),
        change("/cluster", json!({})),
        change("/cluster/name", json!("HK1")),
        change("/cluster/name", json!("a-name-of-16-char")),
        change("/cluster/links", json!([])),
        change("/cluster/links", json!(["10.10.10.0"])),
        change("/cluster/links", json!(vec!["10.10.10.0/24"; 9])),
        change("/cluster/links/0/priority", json!(256)),
        change("/cluster/links/0/priority", json!("20")),
        change("/cluster/links/0", json!({ "net": "10.10.10.0/24" })),
        change("/cluster/third_vote", json!({})),
        change("/cluster/third_vote", json!("box1")),
        change("/nodes", json!({})),
        change("/nodes/prox1", json!({})),
        change("/nodes/prox1", json!({ "adress": "192.168.2.11" })),
        change("/nodes/prox1/address", json!("prox1.example")),
        change("/nodes/box1/role", json!("boss")),
        change("/nodes", json!({ "prox_1": { "address": "192.168.2.11" } })),
    ] {
        assert!(!allowed(&bad) && !read(&bad), "{bad:#}");
    }
}

/// A file in which every key of the table has the value of its example.
#[test]
fn every_key_of_the_table_is_read_as_its_example_has_it() {
    let mut cluster = String::from("[cluster]\n");
    for key in keys::CLUSTER.keys {
        cluster.push_str(&format!("{}\n", key.example));
    }
    cluster.push_str(
        "[nodes.box1]\naddress = \"192.168.1.9\"\nrole = \"qnetd\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n",
    );
    let mut node = String::from("[nodes.prox1]\n");
    for key in keys::NODE.keys {
        node.push_str(&format!("{}\n", key.example));
    }
    let link: Vec<&str> = keys::LINK.keys.iter().map(|key| key.example).collect();
    let all = format!("{cluster}{node}");
    let with_link = all.replace("\"10.10.10.0/24\", \"192", &format!("{{ {} }}, \"192", link.join(", ")));
    assert_ne!(with_link, all);
    for text in [all, with_link] {
        assert_eq!(
            ClusterFile::parse("x.toml", &text)
                .map(|_| ())
                .map_err(|e| format!("{e:#?}")),
            Ok(()),
            "{text}"
        );
        assert!(allowed(&as_json(&text)), "{text}");
    }
}

#[test]
fn the_table_is_complete() {
    for table in TABLES {
        for key in table.keys {
            let Key {
                name,
                needed,
                default,
                meaning,
                example,
                ..
            } = *key;
            assert_eq!(needed, default.is_empty(), "{name}");
            assert!(meaning.ends_with('.') && example.contains(name), "{name}");
            let inner: Vec<&KeyTable> = match key.kind {
                Kind::Table(t) | Kind::ByNode(t) | Kind::NetworkOr(t) | Kind::List(&Kind::NetworkOr(t), _) => vec![t],
                _ => vec![],
            };
            assert!(
                inner.iter().all(|t| TABLES.iter().any(|known| known.path == t.path)),
                "{name}"
            );
        }
    }
}

fn text(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        40 => prop::sample::select(words).prop_map(Value::from),
        1 => "[a-z0-9./:-]{0,12}".prop_map(Value::from),
        1 => prop_oneof![Just(json!(7)), Just(json!(true)), Just(json!([])), Just(json!({})), Just(json!(1.5))],
    ]
}

/// Tables of keys that are nearly right, each there so many times of 30.
fn table(keys: Vec<(&'static str, u32, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let of = |(name, times, value): (&'static str, u32, BoxedStrategy<Value>)| {
        prop_oneof![times => value.prop_map(move |v| Some((name.to_owned(), v))), 30 - times => Just(None)].boxed()
    };
    let entries: Vec<_> = keys.into_iter().map(of).collect();
    entries
        .prop_map(|entries| Value::Object(entries.into_iter().flatten().collect::<Map<_, _>>()))
        .boxed()
}

fn nearly_right() -> impl Strategy<Value = Value> {
    let networks = || {
        text(&[
            "10.10.10.0/24",
            "192.168.1.0/24",
            "fd00::/64",
            "10.10.0.0/16",
            "10.10.10.7/24",
        ])
        .boxed()
    };
    let addresses = || {
        text(&[
            "192.168.1.11",
            "10.10.10.11",
            "10.10.10.12",
            "fd00::12",
            "::ffff:10.0.0.1",
        ])
        .boxed()
    };
    let names = || text(&["hk1", "box1", "prox1", "a", "x-y", "a-name-of-15-ch"]).boxed();
    let priorities = prop_oneof![20 => (0i64..300).prop_map(Value::from), 1 => Just(json!("1"))].boxed();
    let as_table = table(vec![("network", 27, networks()), ("priority", 20, priorities)]);
    let link = || prop_oneof![2 => networks(), 1 => as_table.clone()].boxed();
    let list = |of: BoxedStrategy<Value>, sizes| prop::collection::vec(of, sizes).prop_map(Value::from).boxed();
    let windows = text(&[
        "22:00-05:00",
        "sat 22:00-sun 04:00",
        "Mon 00:00-SUN 24:00",
        "00:00-24:00",
    ])
    .boxed();
    let cluster = table(vec![
        ("name", 29, names()),
        (
            "links",
            15,
            prop_oneof![9 => list(link(), 1..3), 1 => list(link(), 0..10)].boxed(),
        ),
        ("migration_network", 10, networks()),
        ("third_vote", 3, table(vec![("qdevice", 29, names())])),
        ("maintenance", 10, list(windows, 1..3)),
    ]);
    let roles = text(&["member", "member", "witness", "qnetd"]).boxed();
    let node = table(vec![
        ("address", 29, addresses()),
        ("role", 10, roles),
        ("links", 3, list(addresses(), 0..3)),
    ]);
    let names = prop_oneof![20 => prop::sample::select(vec!["prox1", "prox2", "box1"]), 1 => Just("prox_1")];
    let nodes = prop::collection::btree_map(names.prop_map(str::to_owned), node, 0..4);
    table(vec![
        ("cluster", 29, cluster),
        ("nodes", 29, nodes.prop_map(|nodes| json!(nodes)).boxed()),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_it_refuses_the_reader_refuses(file in nearly_right()) {
        prop_assert!(allowed(&file) || !read(&file), "the schema is stricter than the reader");
    }
}

#[test]
fn the_files_of_the_test_above_are_good_and_bad_ones() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let files = nearly_right();
    let mut seen = [0, 0, 0];
    for _ in 0..4_000 {
        let file = files.new_tree(&mut runner).unwrap().current();
        let index = match (allowed(&file), read(&file)) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
        seen[index] += 1;
    }
    assert!(seen.iter().all(|n| *n > 200), "{seen:?}");
}
