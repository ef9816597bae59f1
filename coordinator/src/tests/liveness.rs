//! A daemon that runs answers itself, and one that was stopped does not.

use std::time::Duration;

use super::*;
use crate::liveness::answers;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_answers_itself_for_as_long_as_it_runs() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    assert!(answers(&fixture.config, Duration::from_secs(60)).await);
    daemon.stop().await;
    assert!(!answers(&fixture.config, Duration::from_secs(60)).await);
}
