//! `quorate init`: makes a fleet: its two CAs, the coordinator's certificate, its name. Works without a daemon.

use std::path::PathBuf;

use quorate_identity::{Name, OperatorBundle, Passphrase, Role, RootCa, Scope};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{ClusterName, FleetName, OperatorName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::as_owner::AsOwner;
use crate::audit::{Act, Audit, By, What};
use crate::config::Config;
use crate::operators::Operators;
use crate::state_dir::StateDir;
use crate::{documents, trust};

/// What the operator decides about a new fleet.
#[derive(Debug, Clone)]
pub struct NewFleet {
    /// Its name; it stands in every certificate and can't be changed.
    pub name: FleetName,
    /// The host name or address under which nodes reach this host to enrol.
    pub advertise: String,
}

/// What was made: fit for printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Initialised {
    /// The fleet's name.
    pub fleet: FleetName,
    /// The root certificate's SHA-256: what both sides show at every enrolment.
    pub root_fingerprint: String,
    /// Where everything lies.
    pub state_dir: PathBuf,
    /// The root key, under the passphrase. It may be taken away and is needed only for new operators.
    pub root_key: PathBuf,
    /// What to do now, in this order.
    pub advice: Vec<String>,
}

/// `fleet.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetDocument {
    pub(crate) name: FleetName,
    pub(crate) advertise: String,
}

/// Makes a fleet. Takes a noticeable fraction of a second, for the passphrase.
///
/// # Errors
/// There is one already, the advertised host makes no sense, or the state directory can't be used.
pub fn init(config: &Config, new: &NewFleet, passphrase: &Passphrase) -> Result<Initialised, Failure> {
    check_advertised(&new.advertise)?;
    let _owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::create(&config.state_dir)?;
    let _lock = state.lock()?;
    let store = state.identity();
    if store.exists() {
        return Err(Failure::new(
            ExitCode::Refused,
            format!("there is a fleet already at {}", state.path().display()),
        )
        .hint("a fleet's CA is never overwritten: choose another state_dir, or move the old one away yourself"));
    }
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, "can't make the fleet's CA").because(error)
    };
    let now = trust::unix_seconds(&config.clock());
    let name = Name::parse(new.name.as_str()).map_err(|error| failed(&error))?;
    let root = RootCa::create(&name, now).map_err(|error| failed(&error))?;
    let issuing = root.create_issuing(now).map_err(|error| failed(&error))?;
    let coordinator = root.issue(&Role::Coordinator, now).map_err(|error| failed(&error))?;

    let what = What::Init {
        fleet: new.name.to_string(),
        root_fingerprint: root.certificate().fingerprint().to_string(),
    };
    Audit::of(&state, config.clock()).record(Act::new(By::this_process(), what))?;

    // The name first and the CA last: an interrupted attempt leaves no CA and can be repeated.
    let document = FleetDocument {
        name: new.name.clone(),
        advertise: new.advertise.clone(),
    };
    documents::save(&state.fleet(), &document).map_err(|error| failed(&error))?;
    store
        .create(&root, passphrase, &issuing, &coordinator)
        .map_err(|error| failed(&error))?;

    let root_key = state.path().join("ca").join("root.key");
    let advice = vec![
        "make a backup, when the servers are enrolled at the latest, and bring it to another machine: quorate backup FILE; \
         without it, losing this host means enrolling every node again"
            .to_owned(),
        format!(
            "{} may be moved offline: only certificates of operators and of the coordinator itself need it",
            root_key.display()
        ),
        "start the daemon: systemctl start quorate, or `quorate serve`".to_owned(),
        "invite the first server: quorate node invite CLUSTER/NODE --address ADDRESS".to_owned(),
    ];
    Ok(Initialised {
        fleet: new.name.clone(),
        root_fingerprint: root.certificate().fingerprint().to_string(),
        state_dir: state.path().to_owned(),
        root_key,
        advice,
    })
}

/// Makes the bundle with which an operator, or a viewer who may only look, works from another host, on these clusters or, with none
/// named, on the whole fleet. Needs the root key.
///
/// # Errors
/// The root key is offline, the passphrase wrong, or the state directory can't be used.
pub fn operator_bundle(
    config: &Config,
    (name, viewer): (&OperatorName, bool),
    clusters: &[ClusterName],
    passphrase: &Passphrase,
) -> Result<OperatorBundle, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, format!("can't make a certificate for {name}")).because(error)
    };
    let _owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::open(&config.state_dir)?;
    state.check()?;
    let store = state.identity();
    let roots = store.roots().map_err(|error| failed(&error))?;
    let root = store.root_ca(passphrase).map_err(|error| failed(&error))?;
    let name = Name::parse(name.as_str()).map_err(|error| failed(&error))?;
    let named = clusters.iter().map(|cluster| Name::parse(cluster.as_str()));
    let scope = Scope::of(named.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?);
    let role = if viewer {
        Role::Viewer {
            name: name.clone(),
            scope,
        }
    } else {
        Role::Operator {
            name: name.clone(),
            scope,
        }
    };
    let what = What::AddOperator {
        name: name.to_string(),
        viewer,
        clusters: clusters.iter().map(ToString::to_string).collect(),
    };
    let clock = config.clock();
    Audit::of(&state, clock.clone()).record(Act::new(By::this_process(), what))?;
    let identity = root
        .issue(&role, trust::unix_seconds(&clock))
        .map_err(|error| failed(&error))?;
    // In the books before it leaves: what may be out there must be known, so that it can be revoked.
    Operators::of(&state)
        .add(&identity, root.certificate().fingerprint(), trust::now(&clock))
        .map_err(|error| failed(&error))?;
    OperatorBundle::new(identity, roots).map_err(|error| failed(&error))
}

/// Makes the coordinator's own certificate anew, with a new key. Needs the root key. Returns the end of its life; a running
/// daemon takes it at its next start.
///
/// # Errors
/// The root key is offline, the passphrase wrong, or the state directory can't be used.
pub fn renew(config: &Config, passphrase: &Passphrase) -> Result<Timestamp, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, "can't renew the coordinator's certificate").because(error)
    };
    let _owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::open(&config.state_dir)?;
    let clock = config.clock();
    let root = state.identity().root_ca(passphrase).map_err(|error| failed(&error))?;
    let identity = root
        .issue(&Role::Coordinator, trust::unix_seconds(&clock))
        .map_err(|error| failed(&error))?;
    let until = trust::timestamp(identity.certificate().not_after());
    Audit::of(&state, clock).record(Act::new(
        By::this_process(),
        What::Renew {
            until: until.to_string(),
        },
    ))?;
    state
        .identity()
        .save_coordinator(&identity)
        .map_err(|error| failed(&error))?;
    Ok(until)
}

/// Makes the CA that is to take the present one's place, with a coordinator's certificate from it. Nothing trusts it before the daemon
/// is told to. Needs no old root key: it may be lost.
///
/// # Errors
/// The state directory can't be used.
pub(crate) fn next_ca(config: &Config, passphrase: &Passphrase) -> Result<(), Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, "can't make the new CA").because(error)
    };
    let _owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::open(&config.state_dir)?;
    let store = state.identity();
    let fleet = store.roots().map_err(|error| failed(&error))?.fleet().clone();
    let now = trust::unix_seconds(&config.clock());
    let root = RootCa::create(&fleet, now).map_err(|error| failed(&error))?;
    let issuing = root.create_issuing(now).map_err(|error| failed(&error))?;
    let coordinator = root.issue(&Role::Coordinator, now).map_err(|error| failed(&error))?;
    let what = What::ExchangeCa {
        step: "make".to_owned(),
    };
    Audit::of(&state, config.clock()).record(Act::new(By::this_process(), what))?;
    store
        .create_next(&root, passphrase, &issuing, &coordinator)
        .map_err(|error| failed(&error))
}

/// A host name or an address, without a port: the port is the one that the enrolment listener has.
fn check_advertised(host: &str) -> Result<(), Failure> {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let named = host.len() <= 253 && host.split('.').all(label);
    if host.parse::<std::net::IpAddr>().is_ok() || named {
        return Ok(());
    }
    Err(
        Failure::new(ExitCode::Usage, format!("`{host}` is no host name or address"))
            .hint("give the name or address under which the servers reach this host, without a port"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Config) {
        let home = tempfile::tempdir().unwrap();
        let config = Config {
            state_dir: home.path().join("state"),
            ..Config::default()
        };
        (home, config)
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into()).unwrap()
    }

    fn make(config: &Config, advertise: &str) -> Result<Initialised, Failure> {
        let new = NewFleet {
            name: "home".parse().unwrap(),
            advertise: advertise.to_owned(),
        };
        init(config, &new, &passphrase("correct horse battery"))
    }

    #[test]
    fn a_fleet_is_made_once_and_never_overwritten() {
        let (_home, config) = fixture();
        let made = make(&config, "192.0.2.1").unwrap();
        assert!(made.root_key.exists());
        assert!(made.advice[0].contains("quorate backup"));
        let before = std::fs::read(config.state_dir.join("ca/root.pem")).unwrap();
        let refused = make(&config, "192.0.2.1").unwrap_err();
        assert_eq!(refused.exit, ExitCode::Refused);
        assert_eq!(std::fs::read(config.state_dir.join("ca/root.pem")).unwrap(), before);
    }

    #[test]
    fn what_is_advertised_must_be_reachable_in_principle() {
        let (_home, config) = fixture();
        for bad in ["", "a b", "host:7441", "-x", "http://x"] {
            assert_eq!(make(&config, bad).unwrap_err().exit, ExitCode::Usage, "{bad}");
        }
        assert!(!config.state_dir.exists());
        for good in ["quorate.example.com", "2001:db8::1", "host"] {
            check_advertised(good).unwrap();
        }
    }

    #[test]
    fn bundles_need_the_passphrase() {
        let (_home, config) = fixture();
        make(&config, "192.0.2.1").unwrap();
        let anna = "anna".parse().unwrap();
        let bundle = operator_bundle(&config, (&anna, true), &[], &passphrase("correct horse battery")).unwrap();
        assert_eq!(bundle.identity().role().to_string(), "viewer anna");
        assert!(
            operator_bundle(&config, (&anna, false), &[], &passphrase("wrong wrong wrong"))
                .unwrap_err()
                .to_string()
                .contains("passphrase")
        );
    }
}
