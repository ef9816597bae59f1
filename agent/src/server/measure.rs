//! The calls of a measurement: taken apart, handed on, put together.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::status::to_status;
use quorate_proto::{Wire, v1};
use tonic::Status;

use crate::measure::{Echo, Invalid, NotBegun, Open, key};

pub(super) async fn open(echo: &Echo, request: v1::OpenEchoRequest) -> Result<v1::OpenEchoReply, Status> {
    let open = Open::try_from(request).map_err(|error| invalid(&error))?;
    let socket = |(link, opened): (u8, Result<_, _>)| {
        let state = match opened {
            Ok(crate::measure::Ready { port, mtu }) => {
                v1::echo_socket::State::Ready(v1::EchoReady { port: port.into(), mtu })
            }
            Err(unknown) => v1::echo_socket::State::Unknown(quorate_model::Unknown::into_wire(unknown)),
        };
        v1::EchoSocket {
            link: link.into(),
            state: Some(state),
        }
    };
    let sockets = echo.open(open).await.into_iter().map(socket).collect();
    Ok(v1::OpenEchoReply { sockets })
}

pub(super) async fn measure(echo: &Echo, request: v1::MeasureRequest) -> Result<v1::MeasureReply, Status> {
    let measure = request.try_into().map_err(|error: Invalid| invalid(&error))?;
    let measured = echo.measure(measure).await.map_err(|error| {
        let exit = match error {
            NotBegun::NoSession => ExitCode::NotFound,
            NotBegun::Busy => ExitCode::Refused,
        };
        to_status(Failure::new(exit, error.to_string()))
    })?;
    Ok(v1::MeasureReply {
        measured: measured.into_iter().map(Wire::into_wire).collect(),
    })
}

pub(super) async fn close(echo: &Echo, request: v1::CloseEchoRequest) -> Result<v1::CloseEchoReply, Status> {
    echo.close(key(&request.key).map_err(|error| invalid(&error))?).await;
    Ok(v1::CloseEchoReply {})
}

fn invalid(error: &Invalid) -> Status {
    to_status(Failure::new(ExitCode::Usage, "this is not measured").because(error))
}
