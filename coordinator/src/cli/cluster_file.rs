//! Reading a cluster file for `plan` and `apply`, and showing what is wrong in it where it stands.

use std::path::PathBuf;

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
