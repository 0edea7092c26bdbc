//! What is left to be asked for when the connection breaks.

use super::*;

fn left_of(set: &str, responses: &str) -> String {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let set = RangeSet::parse(set.as_bytes()).unwrap();
    let request = Request::Fetch(By::Uid, set, Items::new().flags());
    rig.submit(on("INBOX", request)).unwrap();
    rig.client();
    rig.server(responses).unwrap();
    let salvaged = rig.session.salvage(0).pop().unwrap();
    match salvaged.again.unwrap().request {
        Request::Fetch(_, set, _) => set.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_message_is_not_asked_for_again_by_the_name_of_the_last() {
    let all = "* 1 FETCH (UID 4 FLAGS ())\r\n\
               * 2 FETCH (UID 7 FLAGS ())\r\n\
               * 3 FETCH (UID 9 FLAGS ())\r\n";
    let most = "* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 7 FLAGS ())\r\n";
    for (set, responses, left) in [
        ("1:*", all, "1:3,5:6,8,10:4294967294"),
        ("4:9,20:*", all, "5:6,8,20:4294967294"),
        ("4:9,20:*", most, "5:6,8:9,20:*"),
        ("20:*", "* 3 FETCH (UID 9 FLAGS ())\r\n", "20:4294967294"),
        ("4,*", "* 1 FETCH (UID 4 FLAGS ())\r\n", "*"),
    ] {
        assert_eq!(left_of(set, responses), left, "{set}");
    }
}
