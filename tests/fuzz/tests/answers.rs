//! What each reader makes of each fixture, tool by tool. A difference here is a difference in what is believed of a server.

use std::fmt::Write as _;

use quorate_fuzz::{fixtures, target};

#[test]
fn each_fixture_is_understood_as_before() {
    for tool in fixtures::list()
        .unwrap()
        .tool
        .iter()
        .filter(|tool| !tool.reads.is_empty())
    {
        let mut told = String::new();
        for case in &tool.cases {
            for name in &tool.reads {
                let target = target(name).unwrap();
                let read = (target.read)(&tool.bytes(case, target).unwrap());
                writeln!(told, "{} ({}) {name}:\n    {read:?}", case.name, case.kind).unwrap();
            }
        }
        let name: String = tool
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, told);
        });
    }
}
