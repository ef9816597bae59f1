//! Each kind of target against somebody on this host who answers.

use quorate_tally::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{Miss, Patience, Place, Target, Unable};

/// Does with each connection what `serve` says, until it is dropped.
struct Service {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serves<F: Future<Output = ()> + Send + 'static>(
    at: &str,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> Service {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Service { address, task }
}

async fn says(text: String) -> Service {
    says_at("127.0.0.1:0", text).await
}

async fn says_at(at: &str, text: String) -> Service {
    serves(at, move |mut stream| {
        let text = text.clone();
        async move {
            drop(stream.write_all(text.as_bytes()).await);
            drop(stream.shutdown().await);
            drop(stream.read(&mut [0; 512]).await);
        }
    })
    .await
}

async fn call(target: &str) -> Result<Option<Answer>, Miss> {
    let target: Target = target.parse().unwrap();
    let place = Place::find(&target).await.unwrap();
    place.call(0, Patience::First).await
}

fn answer(number: u64, run: u64, resumed: u64) -> String {
    let (host, boot) = ("canary".to_owned(), format!("b{run}"));
    let time_ms = 1_764_300_000_000 + number;
    Answer {
        number,
        time_ms,
        resumed,
        run,
        host,
        boot,
    }
    .to_string()
}

#[tokio::test]
async fn a_port_answers_when_it_takes_a_connection() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(at).await.is_err() {
            println!("skipped: there is no {at} here");
            continue;
        }
        let service = serves(at, |_| async {}).await;
        assert_eq!(call(&format!("tcp:{}", service.address)).await, Ok(None));
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(call(&format!("tcp:{gone}")).await, Err(Miss::Refused));
}

#[tokio::test]
async fn a_banner_is_something_said_unasked() {
    let polite = says("SSH-2.0-OpenSSH_9.2p1\r\n".to_owned()).await;
    assert_eq!(call(&format!("tcp+banner:{}", polite.address)).await, Ok(None));
    let rude = serves("127.0.0.1:0", |_| async {}).await;
    assert_eq!(call(&format!("tcp:{}", rude.address)).await, Ok(None));
    assert_eq!(call(&format!("tcp+banner:{}", rude.address)).await, Err(Miss::Cut));
}

#[tokio::test]
async fn a_numbered_writer_tells_its_last_record() {
    let writer = says(answer(4711, 7, 4700)).await;
    let told = call(&format!("tally:{}", writer.address)).await.unwrap().unwrap();
    assert_eq!((told.number, told.run, told.resumed), (4711, 7, 4700));
    let stranger = says("220 mail.example ESMTP\r\n".to_owned()).await;
    assert_eq!(call(&format!("tally:{}", stranger.address)).await, Err(Miss::Stranger));
    let cut = says(answer(4711, 7, 4700).trim_end().to_owned()).await;
    assert_eq!(call(&format!("tally:{}", cut.address)).await, Err(Miss::Stranger));
}

/// As the three above, at an address of version 6; a ping has its test beside it, and a database has one in the suites.
#[tokio::test]
async fn every_kind_is_called_at_an_address_of_version_6_too() {
    const SIX: &str = "[::1]:0";
    if TcpListener::bind(SIX).await.is_err() {
        println!("skipped: there is no {SIX} here");
        return;
    }
    let polite = says_at(SIX, "SSH-2.0-OpenSSH_9.2p1\r\n".to_owned()).await;
    assert!(polite.address.starts_with("[::1]:"));
    assert_eq!(call(&format!("tcp+banner:{}", polite.address)).await, Ok(None));
    let writer = says_at(SIX, answer(4711, 7, 4700)).await;
    let told = call(&format!("tally:{}", writer.address)).await.unwrap().unwrap();
    assert_eq!(told.number, 4711);
    let server = says_at(SIX, "HTTP/1.1 200 OK\r\n\r\n".to_owned()).await;
    assert_eq!(call(&format!("http://{}/health", server.address)).await, Ok(None));
    // There is a way to it, and no TLS.
    let told = call(&format!("https://{}/", server.address)).await;
    assert_eq!(told, Err(Miss::NoTls));
    let gone = TcpListener::bind(SIX).await.unwrap().local_addr().unwrap();
    for kind in ["tcp:", "tcp+banner:", "tally:", "http://"] {
        let target = format!("{kind}{gone}{}", if kind == "http://" { "/" } else { "" });
        assert_eq!(call(&target).await, Err(Miss::Refused), "{target}");
    }
}

#[tokio::test]
async fn a_web_server_answers_with_its_status() {
    for (first, wanted) in [
        ("HTTP/1.1 200 OK", Ok(None)),
        ("HTTP/1.1 404 Not Found", Ok(None)),
        ("HTTP/1.1 503 Service Unavailable", Err(Miss::Status(503))),
        ("SSH-2.0-OpenSSH_9.2p1", Err(Miss::Stranger)),
    ] {
        let server = says(format!("{first}\r\n\r\n")).await;
        assert_eq!(
            call(&format!("http://{}/health", server.address)).await,
            wanted,
            "{first}"
        );
        assert_eq!(
            call(&format!("https://{}/", server.address)).await,
            Err(Miss::NoTls),
            "{first}"
        );
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_one_that_is_none_is_told() {
    let server = says("HTTP/1.1 200 OK\r\n\r\n".to_owned()).await;
    let port = server.address.rsplit(':').next().unwrap();
    let target: Target = format!("http://localhost:{port}/").parse().unwrap();
    match Place::find(&target).await.unwrap() {
        Place::Http(address, ..) => assert!(address.ip().is_loopback()),
        other => panic!("{other:?}"),
    }
    // Longer than any label of a name: nobody has to be asked.
    let target: Target = format!("http://{}.invalid/", "a".repeat(64)).parse().unwrap();
    assert!(matches!(Place::find(&target).await, Err(Unable::Name(..))));
}
