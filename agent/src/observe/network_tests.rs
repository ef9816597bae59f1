use quorate_exec::scripted::Call;
use quorate_exec::{ExecError, Exit};
use quorate_model::facet::UnknownKind;

use super::super::testing::{Fake, fixture};
use super::*;

fn ip() -> Call {
    Call::of(["/usr/bin/ip", "-j", "-d", "address"]).prints(fixture!("ip/6.1.0/server.json"))
}

fn getent() -> Call {
    Call::of(["/usr/bin/getent", "ahosts", "prox1"])
}

#[tokio::test]
async fn speeds_come_from_sysfs_and_the_name_from_the_resolver() {
    let fake = Fake::new();
    fake.put("/sys/class/net/eno1/speed", "10000\n");
    fake.put("/sys/class/net/eno1/duplex", "full\n");
    fake.put("/sys/class/net/eno3/speed", "-1\n");
    fake.put("/sys/class/net/eno3/duplex", "unknown\n");
    fake.put("/sys/class/net/vmbr0/speed", "10000\n");
    let network = observe(
        &fake.host([ip(), getent().prints(fixture!("getent/2.36/loopback-and-right.out"))]),
        &[],
    )
    .await
    .unwrap();
    let speed = |name: &str| {
        let interface = network
            .interfaces
            .iter()
            .find(|interface| interface.name == name)
            .unwrap();
        (interface.speed_mbps, interface.duplex.as_deref())
    };
    assert_eq!(speed("eno1"), (Some(10_000), Some("full")));
    assert_eq!(speed("eno3"), (None, None));
    assert_eq!(speed("eno4"), (None, None));
    assert_eq!(speed("vmbr0"), (None, None));
    let own = network.own_name.get().unwrap();
    assert_eq!(
        (own.name.as_str(), own.usable().unwrap().to_string()),
        ("prox1", "10.77.0.8".to_owned())
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_known_to_be_so_and_a_hung_resolver_is_not() {
    let fake = Fake::new();
    let network = observe(&fake.host([ip(), getent().exits(Exit::Code(2))]), &[])
        .await
        .unwrap();
    assert_eq!(
        network.own_name.get().unwrap().addresses,
        Vec::<std::net::IpAddr>::new()
    );
    let hung = ExecError::DeadlinePassed {
        program: "/usr/bin/getent".into(),
        deadline: std::time::Duration::from_secs(10),
        partial: Box::default(),
    };
    let network = observe(&fake.host([ip(), getent().fails(hung)]), &[]).await.unwrap();
    assert_eq!(network.own_name.get().unwrap_err().kind, UnknownKind::TimedOut);
}

#[tokio::test]
async fn garbage_from_ip_is_told_with_its_line() {
    let fake = Fake::new();
    let garbage = Call::of(["/usr/bin/ip", "-j", "-d", "address"]).prints("Segmentation fault");
    let unknown = observe(&fake.host([garbage, getent()]), &[]).await.unwrap_err();
    assert_eq!(
        (unknown.kind, unknown.reason.as_str()),
        (UnknownKind::Unparsable, "ip: expected value: `Segmentation fault`")
    );
}

#[tokio::test]
async fn names_of_others_are_resolved_each_for_itself() {
    let fake = Fake::new();
    let of = |name: &str| Call::of(["/usr/bin/getent", "ahosts", name]);
    let hung = ExecError::DeadlinePassed {
        program: "/usr/bin/getent".into(),
        deadline: std::time::Duration::from_secs(3),
        partial: Box::default(),
    };
    let calls = [
        ip(),
        getent().prints("10.77.0.1 STREAM prox1\n"),
        of("prox2").prints("10.77.0.2 STREAM prox2\n10.77.0.2 DGRAM\n"),
        Call::of(["/usr/bin/getent", "hosts", "10.77.0.2"]).prints("10.77.0.2 nas.example.com nas\n"),
        of("prox3").exits(Exit::Code(2)),
        of("prox4").fails(hung),
    ];
    let names = ["prox2", "prox3", "prox4"].map(str::to_owned);
    let network = observe(&fake.host(calls), &names).await.unwrap();
    let addresses = |name: &str| network.names[name].get().map(|found| found.addresses.clone());
    assert_eq!(
        addresses("prox2").unwrap(),
        ["10.77.0.2".parse::<std::net::IpAddr>().unwrap()]
    );
    let back = network.names["prox2"].get().unwrap().back.get().unwrap().clone();
    assert_eq!(back, ["nas.example.com", "nas"], "and back");
    assert_eq!(
        addresses("prox3").unwrap(),
        Vec::<std::net::IpAddr>::new(),
        "known not to resolve"
    );
    assert_eq!(addresses("prox4").unwrap_err().kind, UnknownKind::TimedOut);
}

#[tokio::test]
async fn sixty_four_names_are_all_answered() {
    let fake = Fake::new();
    let names: Vec<String> = (1..=64).map(|n| format!("n{n}")).collect();
    let of = |name: &String| Call::of(["/usr/bin/getent", "ahosts", name]).prints("10.0.0.1 STREAM x\n");
    let back = || Call::of(["/usr/bin/getent", "hosts", "10.0.0.1"]).exits(Exit::Code(2));
    let calls = [ip(), getent().exits(Exit::Code(2))]
        .into_iter()
        .chain(names.iter().flat_map(|name| [of(name), back()]));
    let network = observe(&fake.host(calls), &names).await.unwrap();
    assert_eq!(network.names.len(), 64);
    assert!(network.names.values().all(quorate_model::Facet::is_known));
}
