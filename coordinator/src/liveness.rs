//! Whether the daemon still does what it is for. systemd is told so from here, and restarts a daemon that is no longer alive.
//!
//! It asks itself what every command asks first, by the socket that they all come by: that takes the runtime, the listener, the
//! fleet's books and the rollouts. Any answer will do, also a refusal.

use std::time::Duration;

use quorate_proto::v1;
use tokio::time::MissedTickBehavior;
use tonic::Code;

use crate::client;
use crate::config::Config;

/// Calls systemd for as long as the daemon is alive; it wants one call within each `watchdog`.
pub(crate) async fn keep_telling(config: Config, watchdog: Duration) {
    // At a quarter of the time: an answer may take as long again, and one may fail.
    let every = (watchdog / 4).max(Duration::from_millis(1));
    let own = Config { remote: None, ..config };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if answers(&own, every).await {
            // systemd may not listen; then it does not wait for it either.
            drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog]));
        } else {
            tracing::error!("the daemon does not answer itself; systemd will restart it if that does not pass");
        }
    }
}

/// Does the daemon that has this configuration's socket answer within that time?
pub(crate) async fn answers(own: &Config, within: Duration) -> bool {
    let asked = async {
        let mut client = client::connect(own).await.ok()?;
        match client.info(v1::InfoRequest {}).await {
            Ok(_) => Some(()),
            Err(status) => Some(()).filter(|()| !matches!(status.code(), Code::Unavailable | Code::Cancelled)),
        }
    };
    tokio::time::timeout(within, asked)
        .await
        .is_ok_and(|answer| answer.is_some())
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn nobody_and_somebody_who_never_answers_are_not_alive() {
        let home = tempfile::tempdir().unwrap();
        let config = Config {
            socket: home.path().join("q.sock"),
            ..Config::default()
        };
        let soon = Duration::from_millis(300);
        assert!(!answers(&config, soon).await);
        let _deaf = UnixListener::bind(&config.socket).unwrap();
        assert!(!answers(&config, soon).await);
    }
}
