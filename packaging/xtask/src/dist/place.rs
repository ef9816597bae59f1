//! From where to where, and which version of which day.

use std::path::{Path, PathBuf};

use super::options::Options;
use super::tool::Tool;
use crate::report::Stop;

/// Folders, version and time of one making.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The sources.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// Where the packages go.
    pub(crate) out: PathBuf,
    /// The version they get.
    pub(crate) version: String,
    /// The time that stands in them, in seconds since 1970: that of the sources, not of the making.
    pub(crate) epoch: u64,
}

impl Place {
    pub(crate) fn find(options: &Options) -> Result<Self, Stop> {
        let metadata = crate::metadata(&["--no-deps".to_owned()])?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let target = metadata.target_directory.clone().into_std_path_buf();
        let own = metadata
            .packages
            .iter()
            .find(|package| package.name.as_str() == "quorate");
        let version = match (&options.version, own) {
            (Some(version), _) => version.clone(),
            (None, Some(package)) => package.version.to_string(),
            (None, None) => return Err(Stop::Failed("there is no crate quorate in this workspace".to_owned())),
        };
        Ok(Self {
            epoch: epoch(&root)?,
            out: options.out.clone().unwrap_or_else(|| target.join("packages")),
            root,
            target,
            version,
        })
    }

    /// The name of a package's file.
    pub(crate) fn file(&self, package: &str) -> String {
        format!("{package}_{}_amd64.deb", self.version)
    }
}

/// What `SOURCE_DATE_EPOCH` says, else when the last change was recorded.
fn epoch(root: &Path) -> Result<u64, Stop> {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    let text = match said {
        Some(text) => text,
        None => Tool::new("git")
            .args(["log", "-1", "--format=%ct"])
            .within(root)
            .output()
            .map_err(|stop| Stop::Failed(format!("the sources have no time: set SOURCE_DATE_EPOCH; {stop}")))?,
    };
    let text = text.trim();
    text.parse()
        .map_err(|_| Stop::Failed(format!("SOURCE_DATE_EPOCH wants seconds since 1970, not {text:?}")))
}
