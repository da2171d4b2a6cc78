//! A promotion that fails between its tags: what moved is recorded, can be put back, and is not moved again.

use super::{Chain, tag};
use crate::support::registry::{Fault, When};

#[test]
fn a_promotion_that_fails_between_its_tags_records_what_has_moved() {
    let chain = Chain::new();
    let first = chain.put("team/apps/web", "1.4", 1);
    chain.promote("web:1.4 --to rc").assert_success();
    let second = chain.put("team/apps/web", "1.4", 2);
    chain.put("team/apps/api", "2", 3);
    let its_tag = When::put("/apps/api/manifests/2").always();
    chain.rc.fault(its_tag, Fault::Status(400));
    chain.promote("web:1.4 api:2 --to rc").assert_code(1);
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(second.clone()));

    let run = chain.runs().remove(0);
    let id = run["id"].as_str().unwrap();
    assert_eq!(run["status"], "failed");
    assert_eq!(run["artifacts"]["delivered"], 1, "{run}");
    assert_eq!(run["artifacts"]["failed"], 1);
    let moved = chain.events("RC/apps/web:1.4").pop().unwrap();
    assert_eq!(moved["run"], id);
    assert_eq!(moved["digest"], *second);
    assert_eq!(moved["replaced"], *first);
    assert_eq!(moved["rollbackTag"], format!("1.4-{id}"));

    chain
        .run("rollback RC/apps/web:1.4 --state state --comment broken")
        .assert_success();
    chain.rc.heal();
    // Only what failed is done again.
    chain
        .run(&format!("runs rerun {id} --comment again"))
        .assert_success();
    assert!(tag(&chain.rc, "apps/api", "2").is_some());
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(first));
}
