//! The story of the daemon.

use quorate_model::failure::Failure;

use crate::config::Config;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// It can't start, or can't go on.
pub async fn serve(config: Config, take_over: bool) -> Result<(), Failure> {
    let _ = (config, take_over);
    Ok(())
}
