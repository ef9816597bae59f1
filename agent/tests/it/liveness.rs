//! What systemd is told.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use quorate_exec::{CommandLine, Sink, Stdin, supervise};

use crate::agent::program;
use crate::fleet::{AMPLE, Fleet};
use crate::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_the_agent_is_ready_then_that_it_lives_then_that_it_stops() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    let socket = server.path("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(AMPLE)).unwrap();
    let config = server.config().display().to_string();
    let command = CommandLine::new(program(), ["--config", &config, "run"]).unwrap();
    let command = command
        .with_env("NOTIFY_SOCKET", socket.display().to_string())
        .unwrap()
        .with_env("WATCHDOG_USEC", Duration::from_millis(200).as_micros().to_string())
        .unwrap();
    let stderr = Sink::File(File::create(server.path("stderr")).unwrap());
    let mut agent = supervise(&command, Stdin::Null, Sink::Null, stderr).unwrap();

    let hear = || {
        let mut said = [0; 256];
        let length = systemd.recv(&mut said).expect("the agent says something");
        String::from_utf8_lossy(&said[..length]).trim().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!([hear(), hear(), hear()], ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    agent.terminate().unwrap();
    while hear() != "STOPPING=1" {}
    agent.wait().await.unwrap();
}
