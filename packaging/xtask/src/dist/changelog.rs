//! debian/changelog, from CHANGELOG.md.

/// The newest entry: what the version changes, or what is not yet released.
pub(crate) fn debian(markdown: &str, version: &str, date: &str, maintainer: &str) -> String {
    let released = section(markdown, version);
    let points = released.or_else(|| section(markdown, "Unreleased")).unwrap_or_default();
    let mut text = format!("quorate ({version}) unstable; urgency=medium\n\n");
    for point in points {
        wrapped(&mut text, &plain(&point));
    }
    format!("{text}\n -- {maintainer}  {date}\n")
}

/// The points below `## [NAME]`, each on one line.
fn section(markdown: &str, name: &str) -> Option<Vec<String>> {
    let mut lines = markdown.lines();
    let head = format!("## [{name}]");
    lines.find(|line| line.starts_with(&head))?;
    let mut points: Vec<String> = Vec::new();
    for line in lines.take_while(|line| !line.starts_with("## ")) {
        match (line.strip_prefix("- "), points.last_mut()) {
            (Some(begun), _) => points.push(begun.trim().to_owned()),
            (None, Some(point)) if line.starts_with("  ") => {
                point.push(' ');
                point.push_str(line.trim());
            }
            _ => {}
        }
    }
    Some(points).filter(|points| !points.is_empty())
}

fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// One point, in lines of at most 80 characters.
fn wrapped(text: &mut String, point: &str) {
    const WIDTH: usize = 80;
    let mut line = String::from("  *");
    for word in point.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim_start().len() > 1 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKDOWN: &str = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing that takes more than one line\n  in this file: `quorate x`.\n- B.\n\n## [0.1.0]\n\n- First.\n";

    #[test]
    fn the_versions_own_points_are_taken_else_those_that_are_not_released() {
        let entry = debian(MARKDOWN, "0.1.0", "DATE", "Somebody <a@b>");
        assert_eq!(
            entry,
            "quorate (0.1.0) unstable; urgency=medium\n\n  * First.\n\n -- Somebody <a@b>  DATE\n"
        );
        let entry = debian(MARKDOWN, "0.2.0", "DATE", "Somebody <a@b>");
        assert!(
            entry.contains("  * A thing that takes more than one line in this file: quorate x.\n  * B.\n"),
            "{entry}"
        );
        assert!(!entry.contains("First"), "{entry}");
    }

    #[test]
    fn long_points_are_wrapped() {
        let entry = debian(&format!("## [1.0.0]\n- {}\n", "word ".repeat(40)), "1.0.0", "DATE", "M");
        assert!(entry.lines().all(|line| line.len() <= 80), "{entry}");
        assert_eq!(entry.matches("word").count(), 40);
        assert!(entry.contains("\n    word"), "{entry}");
    }
}
