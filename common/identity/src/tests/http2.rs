//! `connect` waits for the server's first bytes: this holds tonic to sending them unasked.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tonic::transport::server::Connected;

use super::lab::{DEADLINE, Fleet, node};
use crate::{Role, ServerStream};

struct Io(ServerStream<DuplexStream>);

impl Connected for Io {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_grpc_server_speaks_first() {
    let fleet = Fleet::new();
    let (server, client) = (fleet.server(&node("prox1")), fleet.client(&Role::Coordinator));
    let (near, far) = duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let (stream, _) = server.accept(far, DEADLINE).await.unwrap();
        tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(tokio_stream::iter([Ok::<_, Infallible>(Io(stream))]))
            .await
    });
    let connected = client.connect_over(near, &node("prox1"), DEADLINE).await;
    assert!(connected.is_ok(), "{connected:?}");
    serving.abort();
}
