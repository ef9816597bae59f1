//! `cargo lab up`: a lab to do with as one likes.

use std::path::Path;

use super::output::line;
use super::place;
use crate::lab::{self, Builder, Lab, LabError};
use crate::layout::Layout;
use crate::{binaries, demo};

pub(super) async fn run(builder: Builder, enrolled: bool) -> Result<(), Box<dyn std::error::Error>> {
    let dir = place::claim()?;
    let lab = match start(builder.dir(&dir).keep(), enrolled).await {
        Ok(lab) => lab,
        Err(reason) => {
            lab::remove(&dir);
            place::release()?;
            return Err(reason.into());
        }
    };
    let count = match lab.names().len() {
        1 => "1 server is".to_owned(),
        count => format!("{count} servers are"),
    };
    line(&format!("{count} up in {}", dir.display()));
    how_to_reach(&dir, enrolled)
}

async fn start(builder: Builder, enrolled: bool) -> Result<Lab, LabError> {
    let lab = builder.start().await?;
    if enrolled {
        demo::enrol_all(&lab).await?;
    }
    Ok(lab)
}

/// What to type next.
pub(super) fn how_to_reach(dir: &Path, coordinator: bool) -> Result<(), Box<dyn std::error::Error>> {
    line("  cargo lab status          how the servers are");
    line("  cargo lab shell prox1     a shell on one of them");
    line("  cargo lab cut prox3       cut one off; cargo lab heal prox3 undoes it");
    line("  cargo lab down            end and remove it");
    if coordinator {
        let config = Layout::new(dir).coordinator_config();
        line("Its coordinator:");
        line(&format!("  export QUORATE_CONFIG={}", config.display()));
        line(&format!("  {} status", binaries::ensure_built()?.quorate.display()));
    }
    Ok(())
}
