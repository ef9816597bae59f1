//! /etc/pve/storage.cfg: what storages there are.

use quorate_model::observation::config::Storage;
use quorate_model::observation::storages::DefinedStorage;

use super::sections;
use crate::ParseError;

/// Reads the definitions in the file's order. The built-in `local` is there too where the file does not name it.
///
/// # Errors
/// When the file is no section file.
pub fn read(text: &str) -> Result<Vec<Storage>, ParseError> {
    let sections = sections::read("storage.cfg", text)?;
    let storages = sections.into_iter().map(|section| Storage {
        nodes: section.list("nodes"),
        digest: quorate_model::spec::digest_of(&section.to_text()),
        id: section.id,
        kind: section.kind,
    });
    Ok(storages.collect())
}

/// Reads all that is written about each storage, in the file's order.
///
/// # Errors
/// When the file is no section file.
pub fn read_whole(text: &str) -> Result<Vec<DefinedStorage>, ParseError> {
    let sections = sections::read("storage.cfg", text)?;
    let storages = sections.into_iter().map(|section| {
        let mut properties = section.values;
        // PVE keeps secrets in files of their own; what somebody wrote here all the same goes no further.
        properties.retain(|key, _| !key.contains("password"));
        DefinedStorage {
            id: section.id,
            kind: section.kind,
            properties,
        }
    });
    Ok(storages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_written_about_a_storage_but_a_secret() {
        let whole = read_whole(fixture!("storage.cfg/pve-9/three.cfg")).unwrap();
        let backup = whole.iter().find(|storage| storage.id == "backup").unwrap();
        assert!(backup.is_disabled() && backup.nodes().is_empty());
        let tank = &whole[1];
        assert_eq!(tank.content(), ["images", "rootdir"].into());
        assert_eq!(tank.nodes(), ["prox1", "prox2"].into());
        assert_eq!(tank.properties["sparse"], "1");
        let told = read_whole("cifs: nas\n\tserver 10.0.0.1\n\tpassword hush\n").unwrap();
        assert_eq!(told[0].properties.len(), 1, "{told:?}");
    }

    #[test]
    fn storages_with_the_nodes_that_they_are_limited_to() {
        let storages = read(fixture!("storage.cfg/pve-9/three.cfg")).unwrap();
        let shown: Vec<_> = storages
            .iter()
            .map(|s| (s.id.as_str(), s.kind.as_str(), s.nodes.join("+")))
            .collect();
        assert_eq!(
            shown,
            [
                ("local", "dir", String::new()),
                ("tank", "zfspool", "prox1+prox2".to_owned()),
                ("backup", "pbs", String::new())
            ]
        );
        assert!(read("what is this\n").is_err());
        let digest = |text: &str| read(text).unwrap()[0].digest.clone();
        let (one, same, other) = (
            "nfs: nas\n\tserver 10.0.0.1\n\texport /a\n",
            "nfs: nas\n\texport /a\n\tserver 10.0.0.1\n",
            "nfs: nas\n\tserver 10.0.0.2\n\texport /a\n",
        );
        assert_eq!(digest(one), digest(same), "in another order");
        assert_ne!(digest(one), digest(other));
    }
}
