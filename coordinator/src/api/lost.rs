//! Before a recovery is planned: those that are left look for the lost server, and the coordinator pings its BMC.

use std::net::IpAddr;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::lost::{Search, Sign, Trace};
use quorate_model::moves::Moves;
use quorate_model::{ClusterName, Code, Finding, Wish};

use super::Api;
use crate::probe;

impl Api {
    /// Looks for it; `None`: nobody says that a server is lost.
    pub(super) async fn search(&self, cluster: &ClusterName, wish: &Wish) -> Option<Search> {
        let Some(Moves::Recover { lost, bmc, .. }) = &wish.moves else {
            return None;
        };
        let enrolled = self.fleet.registry.enrolled().into_iter();
        let left = enrolled
            .filter(|name| name.cluster == *cluster && name.node != *lost)
            .collect();
        let (survivors, bmc) = tokio::join!(self.fleet.look_for_lost(&left, lost), async {
            match bmc {
                Some(address) => Some(pinged(*address).await),
                None => None,
            }
        });
        Some(Search {
            node: lost.clone(),
            survivors,
            bmc,
        })
    }
}

/// A BMC lives as long as there is power: neither its answer nor its silence says how its server stands.
async fn pinged(address: IpAddr) -> Trace {
    let about = format!("a ping to its BMC at {address}");
    match probe::answers(&probe::Target::Plain(quorate_probe::Target::Icmp(address))).await {
        Ok(()) => Trace::new(about, Sign::Unproven, "it answers"),
        Err(unable) => Trace::new(about, Sign::Unproven, unable.to_string()),
    }
}

/// Nothing of a recovery is begun without the lost server's name, as it was typed.
///
/// # Errors
/// It was not typed, or another one was.
pub(super) fn confirmed(cluster: &ClusterName, wish: &Wish) -> Result<(), Failure> {
    let Some(Moves::Recover { lost, confirm, .. }) = &wish.moves else {
        return Ok(());
    };
    let wanted = format!("{cluster}/{lost}");
    if confirm.as_deref() == Some(wanted.as_str()) {
        return Ok(());
    }
    let message = match confirm {
        None => format!("nobody has said that {lost} is off"),
        Some(typed) => format!("`{typed}` is not {wanted}"),
    };
    let finding = Finding::new(
        Code::RecoveryNotConfirmed,
        lost.as_str(),
        message,
        format!("type its name when it is asked for; in a script: --confirm {wanted}"),
    );
    Err(Failure::new(ExitCode::Refused, "nothing was changed").with(vec![finding]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(confirm: Option<&str>) -> Result<(), Failure> {
        let wish = Wish {
            moves: Some(Moves::Recover {
                lost: "prox1".parse().unwrap(),
                guests: [].into(),
                expected_votes: None,
                seen_off: false,
                bmc: None,
                confirm: confirm.map(ToOwned::to_owned),
            }),
            ..Wish::default()
        };
        confirmed(&"hk1".parse().unwrap(), &wish)
    }

    #[test]
    fn nothing_is_begun_without_the_servers_whole_name() {
        assert!(said(Some("hk1/prox1")).is_ok());
        for other in [None, Some("prox1"), Some("hk1/prox2"), Some("")] {
            let refused = said(other).unwrap_err();
            assert_eq!(refused.findings[0].code, Code::RecoveryNotConfirmed, "{other:?}");
        }
        assert!(confirmed(&"hk1".parse().unwrap(), &Wish::default()).is_ok());
    }
}
