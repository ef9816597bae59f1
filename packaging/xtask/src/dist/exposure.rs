//! How exposed the services are, by the count of `systemd-analyze security`: recorded, and never to rise.

use std::path::Path;

use super::tool::Tool;
use crate::report::Stop;

/// The unit of each package, and its exposure in tenths as systemd 252 counts it. Whoever makes one smaller writes it here.
/// What is left open, and why, is said in the units.
pub(crate) const LIMITS: [(&str, u32); 2] = [("quorate-agent.service", 33), ("quorate.service", 13)];

/// What is wrong with the units in a folder, and what was seen.
pub(crate) fn compare(units: &Path) -> Result<(Vec<String>, Vec<String>), Stop> {
    let (mut notes, mut wrong) = (Vec::new(), Vec::new());
    for (unit, limit) in LIMITS {
        let text = Tool::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .args([units.join(unit)])
            .env("LC_ALL", "C.UTF-8")
            .output()?;
        let Some(exposure) = read(&text) else {
            return Err(Stop::Failed(format!(
                "systemd-analyze tells no exposure of {unit}:\n{text}"
            )));
        };
        notes.push(format!("{unit}: exposure {}", tenths(exposure)));
        if exposure > limit {
            wrong.push(format!(
                "{unit} is more exposed than before: {}, not {}",
                tenths(exposure),
                tenths(limit)
            ));
        } else if exposure < limit {
            notes.push(format!(
                "{unit} is less exposed than recorded: write {exposure} instead of {limit}"
            ));
        }
    }
    Ok((notes, wrong))
}

fn tenths(number: u32) -> String {
    format!("{}.{}", number / 10, number % 10)
}

/// `→ Overall exposure level for quorate.service: 1.3 OK 🙂`, in tenths.
fn read(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.contains("Overall exposure level for"))?;
    let (_, rest) = line.rsplit_once(": ")?;
    let (whole, part) = rest.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + part.parse::<u32>().ok().filter(|part| *part < 10)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_in_tenths() {
        assert_eq!(
            read("x\n\n→ Overall exposure level for quorate.service: 1.3 OK 🙂\n"),
            Some(13)
        );
        assert_eq!(read("→ Overall exposure level for a: 10.0 DANGEROUS\n"), Some(100));
        assert_eq!(read("nothing"), None);
    }
}
