//! `df --output=… -B1 PATH…`: free space, as planted.

use super::Reply;
use crate::world::server::Server;

const COST: u64 = 3;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let ["--output=avail,size", "-B1", paths @ ..] = args else {
        return None;
    };
    if paths.is_empty() || paths.iter().any(|path| !path.starts_with('/')) {
        return None;
    }
    let mut rows = Vec::new();
    let mut reply = Reply::default();
    for path in paths {
        if server.root.join(path.trim_start_matches('/')).exists() {
            let (free, size) = server.hardware.space(path);
            rows.push((free.to_string(), size.to_string()));
        } else {
            reply
                .stderr
                .push_str(&format!("df: {path}: No such file or directory\n"));
            reply.code = 1;
        }
    }
    if rows.is_empty() {
        return Some((COST, reply));
    }
    rows.insert(0, ("Avail".to_owned(), "1B-blocks".to_owned()));
    let width = |pick: fn(&(String, String)) -> &String| rows.iter().map(|row| pick(row).len()).max().unwrap_or(0);
    let (first, second) = (width(|row| &row.0), width(|row| &row.1));
    reply.stdout = rows
        .iter()
        .map(|(free, size)| format!("{free:>first$} {size:>second$}\n"))
        .collect();
    Some((COST, reply))
}
