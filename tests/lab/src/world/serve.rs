//! The world's socket: host tools and control.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

use super::{World, complain, direct};
use crate::control::Request;
use crate::layout::Layout;
use crate::tools;
use crate::wire::{self, Frame, Hello};

pub(crate) fn bind(layout: &Layout) -> io::Result<UnixListener> {
    UnixListener::bind(layout.socket())
}

pub(crate) async fn accept(world: &Arc<World>, listener: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let world = Arc::clone(world);
        tokio::spawn(async move {
            if let Err(error) = converse(&world, stream).await {
                complain(&format!("connection: {error}"));
            }
        });
    }
}

async fn converse(world: &Arc<World>, mut stream: UnixStream) -> io::Result<()> {
    let Some(Frame::Hello(bytes)) = wire::receive(&mut stream).await? else {
        return Ok(());
    };
    match serde_json::from_slice(&bytes)? {
        Hello::Control(request) => {
            let stopping = matches!(request, Request::Stop);
            let answer = direct::obey(world, request);
            let sent = wire::send(&mut stream, &Frame::Answer(serde_json::to_vec(&answer)?)).await;
            if stopping {
                world.stop.send_replace(true);
            }
            sent
        }
        Hello::Tool { node, tool, argv, cwd } => {
            tools::run(world, stream, node, tool, argv, cwd).await;
            Ok(())
        }
    }
}

/// Returns when whoever holds the other end of standard input has gone.
pub(crate) async fn owner_gone() {
    let mut stdin = tokio::io::stdin();
    let mut byte = [0_u8; 64];
    while let Ok(count) = stdin.read(&mut byte).await {
        if count == 0 {
            return;
        }
    }
}
