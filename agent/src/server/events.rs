//! What happens on the node for a drill, for as long as somebody listens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::drill::Event;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::OperationId;
use quorate_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::service::stopping;
use crate::events::{Following, Order, Recorders, TallyAt};

/// So many events go into one message: some hundred bytes each.
const IN_ONE: usize = 1000;

/// Begins or attaches. The stream ends with the watch, with the listener, or with the agent.
///
/// # Errors
/// What is asked for makes no sense, or can't be kept.
pub(super) fn start(
    recorders: &Arc<Recorders>,
    now: Timestamp,
    request: v1::WatchEventsRequest,
    stop: CancellationToken,
) -> Result<Answers, Failure> {
    let usage = |why: String| Failure::new(ExitCode::Usage, why);
    let id = OperationId::new(request.watch).map_err(|error| usage(format!("watch: {error}")))?;
    let from = usize::try_from(request.from).map_err(|_| usage("from: is out of range".to_owned()))?;
    let (sender, receiver) = mpsc::channel(1);
    if request.seconds == 0 {
        let told = recorders.told(&id).map_err(|error| {
            Failure::new(ExitCode::NotFound, format!("there is no watch {id} here")).because(&error)
        })?;
        let rest = told.get(from..).unwrap_or_default().to_vec();
        tokio::spawn(async move { send(&sender, rest).await });
        return Ok(Box::pin(ReceiverStream::new(receiver)));
    }
    let lasts = Duration::from_secs(request.seconds.into());
    let mut order = Order::new(id, request.guests, now, lasts).map_err(usage)?;
    if let Some(place) = request.tally {
        let tally = tally_at(&place).map_err(usage)?;
        order = order.asking(tally).map_err(|why| usage(format!("tally: {why}")))?;
    }
    let mut following = recorders
        .follow(&order, from)
        .map_err(|error| Failure::new(ExitCode::Failed, "what happens can't be watched").because(&error))?;
    tokio::spawn(async move { hand_on(&mut following, &sender, &stop).await });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn tally_at(place: &v1::TallyPlace) -> Result<TallyAt, String> {
    let address: IpAddr = place
        .address
        .parse()
        .map_err(|_| format!("tally: address: `{}` is no IP address", place.address))?;
    let port = u16::try_from(place.port).map_err(|_| format!("tally: port: {} is none", place.port))?;
    Ok(TallyAt {
        guest: place.guest,
        at: SocketAddr::new(address, port),
    })
}

/// The answers.
pub(super) type Answers = std::pin::Pin<Box<dyn Stream<Item = Result<v1::DrillEvents, Status>> + Send>>;
type Sender = mpsc::Sender<Result<v1::DrillEvents, Status>>;

async fn hand_on(following: &mut Following, sender: &Sender, stop: &CancellationToken) {
    loop {
        let new = tokio::select! {
            () = stop.cancelled() => {
                drop(sender.send(Err(stopping())).await);
                return;
            }
            () = sender.closed() => return,
            new = following.next() => new,
        };
        let Some(new) = new else { return };
        if !send(sender, new).await {
            return;
        }
    }
}

/// Does the listener still listen?
async fn send(sender: &Sender, events: Vec<Event>) -> bool {
    for part in events.chunks(IN_ONE) {
        let events = part.iter().cloned().map(Into::into).collect();
        if sender.send(Ok(v1::DrillEvents { events })).await.is_err() {
            return false;
        }
    }
    true
}
