//! Reading a cluster file for `plan` and `apply`, and showing what is wrong in it where it stands.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use quorate_model::Finding;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::spec::ClusterFile;

use super::{Format, output};

/// A cluster file's name and text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A cluster of 32 nodes needs a few kilobytes.
const LARGEST: u64 = 1 << 20;

pub(crate) fn read(path: &PathBuf) -> Result<Source, Failure> {
    let fail = |e: &std::io::Error| {
        Failure::new(
            ExitCode::Usage,
            format!("can't read the cluster file {}", path.display()),
        )
        .because(e)
    };
    let size = std::fs::metadata(path).map_err(|e| fail(&e))?.len();
    if size > LARGEST {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} is too large for a cluster file", path.display()),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fail(&e))?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

/// Replaces the operator's file as a whole: whatever happens meanwhile, the old one is there, or the new one. Mode and owner stay.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays a link.
    let target = std::fs::canonicalize(path)?;
    let meta = std::fs::metadata(&target)?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.set_permissions(meta.permissions())?;
        // Somebody else's file, in whose folder we may write: it becomes ours only if it can't stay theirs.
        drop(std::os::unix::fs::fchown(&file, Some(meta.uid()), Some(meta.gid())));
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &target)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    written
}

/// Reads the text as a cluster file, here already: all problems can be shown in their lines, and none needs a daemon.
pub(crate) fn check(source: &Source, format: Format) -> Result<ClusterFile, Failure> {
    let findings = match ClusterFile::parse(&source.name, &source.text) {
        Ok(file) => return Ok(file),
        Err(findings) => findings,
    };
    let problems = if findings.len() == 1 {
        "1 problem".to_owned()
    } else {
        format!("{} problems", findings.len())
    };
    let failure = Failure::new(
        ExitCode::Refused,
        format!("{problems} in {}; nothing was changed", source.name),
    );
    if format == Format::Json {
        return Err(failure.with(findings));
    }
    output::aside(&show(source, &findings));
    Err(failure)
}

/// Findings that point into the file, shown with the lines that they are about.
pub(crate) fn show(source: &Source, findings: &[Finding]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(110)
        .with_links(false);
    let mut text = String::new();
    for finding in findings {
        let Some(place) = &finding.place else { continue };
        let start = usize::try_from(place.offset)
            .unwrap_or(usize::MAX)
            .min(source.text.len());
        let length = usize::try_from(place.length)
            .unwrap_or(1)
            .min(source.text.len() - start);
        let diagnostic = MietteDiagnostic::new(&finding.message)
            .with_code(finding.code.as_str())
            .with_help(&finding.next)
            .with_label(LabeledSpan::new(None, start, length));
        let report = Report::from(diagnostic).with_source_code(NamedSource::new(&source.name, source.text.clone()));
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text.push_str(&quorate_show::finding_line(finding));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_link_to_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("hk1.toml"), dir.path().join("link.toml"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("hk1.toml", &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing is left beside it"
        );
        assert!(replace(&dir.path().join("none.toml"), "new").is_err());
    }
}
