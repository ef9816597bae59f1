//! A failure begins here. What ends it is there before: see [`crate::faults`].

use quorate_model::fault::{Fault, FaultEnd, rules};
use quorate_model::time::spoken;

use super::{CHANGING, Stopped, Task, say};
use crate::faults::{Step, prepare};

pub(super) async fn run(task: &Task<'_>, fault: &Fault, seconds: u32) -> Result<(), Stopped> {
    // Between the look in the instant before and now nothing must have changed.
    task.look_again().await?;
    let injection = prepare(task.host, &task.state_dir, &task.operation.id, fault, seconds).await;
    let injection = injection.map_err(Stopped)?;
    let said = |step| match step {
        Step::Note => say("noting when it ends"),
        Step::Timer => say("setting the timer that ends it"),
        Step::Break => {
            say(CHANGING);
            say(&format!("{fault}: it begins; {}", ending(fault, seconds)));
        }
        Step::Look => say("looking whether it holds"),
    };
    injection.run(task.host, &task.state_dir, said).await.map_err(Stopped)
}

fn ending(fault: &Fault, seconds: u32) -> String {
    match rules(fault.kind()).end {
        FaultEnd::Timer => {
            let time = std::time::Duration::from_secs(u64::from(seconds));
            format!("it ends by itself after {}", spoken(time))
        }
        end => format!("{} ends it", end.as_str()),
    }
}
