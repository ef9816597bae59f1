use super::lab::*;
#[test]
fn dump() {
    let f = Fleet::new();
    let store = crate::CoordinatorStore::new(std::path::Path::new("/tmp/idcheck"));
    store
        .create(
            &f.root,
            &crate::Passphrase::new("correct horse".to_owned().into()).unwrap(),
            &f.issuing,
            &f.identity(&crate::Role::Coordinator),
        )
        .unwrap();
    crate::write_file(
        std::path::Path::new("/tmp/idcheck/node.pem"),
        &f.identity(&node("prox1")).chain_pem(),
    )
    .unwrap();
}
