//! Messages: who gets them, and large ones in pieces.

use super::*;

#[test]
fn fetches_overlap_and_each_caller_gets_its_own() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        let one = rig.submit(on("INBOX", flags(1, 2))).unwrap();
        let two = rig.submit(on("INBOX", bodies(2, 3))).unwrap();
        assert_eq!(
            rig.client(),
            "M4 UID FETCH 1:2 (UID FLAGS)\r\nM5 UID FETCH 2:3 (UID BODY.PEEK[])\r\n"
        );
        rig.server(
            "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (FLAGS () UID 2)\r\nM4 OK\r\n\
             * 3 FETCH (UID 3 FLAGS (\\Seen))\r\n\
             * 2 FETCH (UID 2 BODY[] {3}\r\nabc)\r\n* 3 FETCH (UID 3 BODY[] {0}\r\n)\r\nM5 OK\r\n",
        )
        .unwrap();
        assert_eq!(
            rig.take_said(),
            [
                format!("{one} message Some(1) [] stream=None"),
                format!("{one} message Some(2) [] stream=None"),
                format!("{one} Done"),
                format!("{two} message Some(2) [\"abc\"] stream=None"),
                format!("{two} message Some(3) [\"\"] stream=None"),
                format!("{two} Done"),
            ]
        );
    });
}

#[test]
fn the_same_message_asked_for_twice_is_delivered_once_to_each() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let one = rig.submit(on("INBOX", flags(1, 1))).unwrap();
    let two = rig.submit(on("INBOX", flags(1, 1))).unwrap();
    rig.server("* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n").unwrap();
    assert_eq!(
        rig.take_said(),
        [
            format!("{one} message Some(1) [] stream=None"),
            format!("{two} message Some(1) [] stream=None")
        ]
    );
}

#[test]
fn a_large_body_is_streamed_in_chunks() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        rig.submit(on("INBOX", bodies(1, 2))).unwrap();
        let body = "x".repeat(50);
        rig.server(&format!(
            "* 1 FETCH (UID 1 BODY[] {{50}}\r\n{body} FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 BODY[] {{1}}\r\ny)\r\nM4 OK\r\n"
        ))
        .unwrap();
        let said = rig.take_said();
        let chunks: usize = said
            .iter()
            .filter_map(|line| line.strip_prefix("1 chunk "))
            .map(|size| size.parse::<usize>().unwrap())
            .sum();
        let others: Vec<&String> = said.iter().filter(|line| !line.contains("chunk")).collect();
        assert_eq!(chunks, 50);
        assert_eq!(
            others,
            [
                "1 message Some(1) [] stream=Some(50)",
                "1 rest flags=true stream=false",
                "1 message Some(2) [\"y\"] stream=None",
                "1 Done"
            ]
        );
    });
}

#[test]
fn a_large_body_whose_uid_comes_last_is_held_until_it_comes() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        rig.submit(on("INBOX", bodies(1, 2))).unwrap();
        let body = "x".repeat(50);
        rig.server(&format!(
            "* 1 FETCH (FLAGS () BODY[] {{50}}\r\n{body} UID 1)\r\n\
             * 2 FETCH (BODY[] {{2}}\r\nyz UID 2)\r\nM4 OK\r\n"
        ))
        .unwrap();
        assert_eq!(
            rig.take_said(),
            [
                format!("1 message Some(1) [{body:?}] stream=None"),
                "1 message Some(2) [\"yz\"] stream=None".to_owned(),
                "1 Done".to_owned()
            ]
        );
    });
}

#[test]
fn a_message_that_cannot_be_read_is_refused_and_the_others_follow() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("INBOX", flags(1, 3))).unwrap();
    rig.server("* 1 FETCH (UID 1 UID 2 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        [
            "1 refused Some(1): continued=false",
            "1 message Some(2) [] stream=None",
            "1 Done"
        ]
    );
}

#[test]
fn the_last_message_answers_for_the_star_whatever_its_number() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let set = RangeSet::range(500, u32::MAX);
    let request = Request::Fetch(By::Uid, set, Items::new().flags());
    rig.submit(on("INBOX", request)).unwrap();
    assert_eq!(rig.client(), "M4 UID FETCH 500:* (UID FLAGS)\r\n");
    rig.server("* 2 FETCH (UID 8 FLAGS ())\r\n* 3 FETCH (UID 9 FLAGS ())\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        ["1 message Some(9) [] stream=None", "1 Done"]
    );
}
