//! Differences between plans, as an operator is shown them.

use quorate_model::Wish;

use crate::diff::{Difference, differences};
use crate::testkit::{Servers, file};

const LINK: &[&str] = &["10.10.10.0/24"];

#[test]
fn a_plan_does_not_differ_from_itself_whatever_its_findings() {
    let old = crate::plan(&file(3, LINK), &Wish::default(), &Servers::bare(3).view);
    let new = crate::plan(
        &file(3, LINK),
        &Wish::default(),
        &Servers::bare(3).clock("prox2", 3_000_000, 0).view,
    );
    assert_ne!(old.findings, new.findings);
    assert_eq!(differences(&old, &new), []);
}

#[test]
fn what_is_gone_new_and_changed_is_named() {
    let old = crate::plan(&file(3, LINK), &Wish::default(), &Servers::bare(3).view);
    let new = crate::plan(
        &file(4, LINK),
        &Wish::default(),
        &Servers::bare(4).members("hk1", &["prox2"], LINK).view,
    );
    let told: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    - cluster.create: create cluster hk1 on prox1
    - cluster.join/prox2: join prox2 to cluster hk1 through prox1
    + cluster.join/prox1: join prox1 to cluster hk1 through prox2
    ~ cluster.join/prox3: join prox3 to cluster hk1 through prox2 (other action, order, title)
    + cluster.join/prox4: join prox4 to cluster hk1 through prox2
    ");
}

#[test]
fn another_order_and_another_cluster_are_differences() {
    let old = crate::plan(&file(3, LINK), &Wish::default(), &Servers::bare(3).view);
    let mut new = old.clone();
    new.steps.reverse();
    assert_eq!(differences(&old, &new), [Difference::Order]);
    new = old.clone();
    new.cluster = "other".parse().unwrap();
    assert_eq!(differences(&old, &new).len(), 1);
}
