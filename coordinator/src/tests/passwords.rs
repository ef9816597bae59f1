//! A storage's password that is given with the word to apply: it reaches the agent, and nothing on this host keeps it.

use std::path::Path;

use quorate_model::failure::ExitCode;
use quorate_model::observation::Storages;
use quorate_model::plan::Plan;
use quorate_model::rollout::RolloutResult;
use quorate_model::{Code, Facet, Timestamp, Wish};
use quorate_proto::{Wire, field, v1};

use super::rollouts::{finished, watch};
use super::*;

const PASSWORD: &str = "hush-4711-hush";

const FILE: &str = "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[storage.backup]\ntype = \"pbs\"\n\
                    server = \"192.168.1.5\"\ndatastore = \"store1\"\nusername = \"quorate@pbs\"\n";

fn wish(storages: &[&str]) -> Option<v1::Wish> {
    let wish = Wish {
        passwords: storages.iter().map(|name| name.parse().unwrap()).collect(),
        ..Wish::default()
    };
    Some(wish.into_wire())
}

async fn plan(client: &mut Client, storages: &[&str]) -> Result<Plan, Failure> {
    let request = v1::PlanRequest {
        wish: wish(storages),
        file_name: "hk1.toml".to_owned(),
        text: FILE.to_owned(),
        accept: vec![],
    };
    let plan: Option<Plan> = field("plan", of(client.plan(request).await)?.plan).unwrap();
    Ok(plan.unwrap())
}

async fn apply(client: &mut Client, shown: Plan, passwords: &[&str]) -> Result<String, Failure> {
    let given = |password: &&str| v1::StoragePassword {
        storage: "backup".to_owned(),
        secret: Some(v1::StorageSecret {
            password: (*password).to_owned(),
        }),
    };
    let request = v1::ApplyRequest {
        passwords: passwords.iter().map(given).collect(),
        wish: wish(&["backup"]),
        file_name: "hk1.toml".to_owned(),
        text: FILE.to_owned(),
        accept: vec![],
        shown: Some(shown.into_wire()),
    };
    of(client.apply(request).await).map(|reply| reply.rollout)
}

/// The files below a folder that have this text in them.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_given_reaches_the_agent_and_is_kept_nowhere() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 1).await;
    {
        let none = Storages {
            defined: vec![],
            status: Facet::known(vec![], Timestamp(1)),
        };
        let mut world = all[0].state.world.lock().unwrap();
        *world = world
            .clone()
            .members("hk1", &["prox1"], &[])
            .with("prox1", |seen| seen.storages = Facet::known(none, Timestamp(1)));
    }
    let without = plan(&mut client, &[]).await.unwrap();
    let refusing = without.findings.iter().find(|finding| finding.refuses()).unwrap();
    assert_eq!(refusing.code, Code::StorageNoSecret);
    assert!(refusing.next.ends_with("--password backup"), "{refusing:?}");
    let misspelt = plan(&mut client, &["backpu"]).await.unwrap_err();
    assert!(misspelt.message.contains("has no storage backpu"), "{misspelt}");

    let shown = plan(&mut client, &["backup"]).await.unwrap();
    assert!(!shown.refused(), "{:?}", shown.findings);
    let missing = apply(&mut client, shown.clone(), &[]).await.unwrap_err();
    assert_eq!(missing.exit, ExitCode::Usage);
    assert!(missing.message.contains("storage backup was not given"), "{missing}");
    let bad = apply(&mut client, shown.clone(), &["two\nlines"]).await.unwrap_err();
    assert!(!bad.to_string().contains("lines\n"), "{bad}");
    assert!(all[0].state.passwords.lock().unwrap().is_empty());

    let rollout = apply(&mut client, shown, &[PASSWORD]).await.unwrap();
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Done);
    assert_eq!(*all[0].state.passwords.lock().unwrap(), [PASSWORD]);
    assert!(!format!("{records:?}").contains(PASSWORD));
    daemon.stop().await;
    assert_eq!(files_with(fixture.home.path(), PASSWORD), Vec::<String>::new());
    assert_eq!(
        files_with(fixture.home.path(), "--password backup").len(),
        1,
        "the audit log says that one was given"
    );
}
