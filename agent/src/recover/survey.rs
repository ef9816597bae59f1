//! What the coordinator is told of a lost server: the same looks as on the console, and nothing of it is decided here.

use quorate_model::NodeName;
use quorate_model::facet::Facet;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::lost::Survivor;

use super::{probes, scene};
use crate::host::Host;
use crate::observe::{hostname, observe};

/// Looks.
///
/// # Errors
/// It makes no sense to ask, or the cluster can't be seen at all.
pub(crate) async fn survey(host: &Host, lost: &NodeName) -> Result<Survivor, Failure> {
    let own = hostname(host);
    let seen = observe(host, &scene::FACETS).await;
    let member = scene::member(scene::cluster(&seen)?, &own, lost.as_str())?;
    let own: NodeName = own
        .parse()
        .map_err(|error| Failure::new(ExitCode::Refused, "this server's name can't be used").because(&error))?;
    let evidence = probes::look(host, member, seen.network.get(), own.as_str(), lost.as_str()).await;
    let (guests, unknown) = scene::guests(host, &seen, &own, lost.as_str()).await;
    let record = scene::open_record(host, lost.as_str())?;
    let unfinished = scene::unfinished(&seen, record.as_ref(), &own);
    Ok(Survivor {
        evidence,
        guests: match unknown {
            None => Facet::known(guests, host.now()),
            Some(unknown) => Facet::Unknown(unknown),
        },
        unfinished: unfinished.into_iter().map(|(vmid, _)| vmid).collect(),
    })
}
