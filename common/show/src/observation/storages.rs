//! Storages as one node has them.

use quorate_model::observation::Storages;
use quorate_model::observation::storages::DefinedStorage;

use crate::table::table;

pub(super) fn storages(storages: &Storages) -> String {
    let status = match storages.status.get() {
        Ok(status) => status,
        Err(unknown) => {
            let ids: Vec<&str> = storages.defined.iter().map(|storage| storage.id.as_str()).collect();
            return format!("defined: {}\nhow they are: {unknown}\n", ids.join(", "));
        }
    };
    let rows: Vec<Vec<String>> = status
        .iter()
        .map(|row| {
            let defined = storages.defined(&row.id);
            vec![
                row.id.clone(),
                row.kind.clone(),
                row.state.as_str().to_owned(),
                row.total.map_or_else(|| "-".to_owned(), |total| total.binary()),
                row.fill().map_or_else(|| "-".to_owned(), |fill| format!("{fill} %")),
                content(defined),
                nodes(defined),
            ]
        })
        .collect();
    let mut text = table(&["STORAGE", "TYPE", "STATE", "SIZE", "USED", "CONTENT", "NODES"], &rows);
    for row in status {
        if let Some(complaint) = &row.complaint {
            text.push_str(&format!("{}: {complaint}\n", row.id));
        }
    }
    text
}

/// What it keeps; `-`: what is usual for its kind.
pub(crate) fn content(defined: Option<&DefinedStorage>) -> String {
    let words: Vec<&str> = defined
        .map(DefinedStorage::content)
        .unwrap_or_default()
        .into_iter()
        .collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// Where it is to be.
pub(crate) fn nodes(defined: Option<&DefinedStorage>) -> String {
    let names: Vec<&str> = defined
        .map(DefinedStorage::nodes)
        .unwrap_or_default()
        .into_iter()
        .collect();
    if names.is_empty() {
        "all".to_owned()
    } else {
        names.join(", ")
    }
}
