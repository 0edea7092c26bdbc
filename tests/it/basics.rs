//! Each operation once, against the embedded server.

use mailpool::{Items, Query};

use crate::support::{client, message, server_with};

#[test]
fn a_mailbox_is_searched_and_fetched() {
    let server = server_with(20);
    let client = client(&server);
    let inbox = client.mailbox("INBOX");
    let uids = inbox.search(Query::all()).unwrap();
    assert_eq!(uids.len(), 20);
    let mut count = 0;
    for (number, fetched) in inbox.fetch(&uids, Items::full()).unwrap().enumerate() {
        let body = fetched.unwrap().into_body().unwrap().into_bytes().unwrap();
        assert_eq!(body, message(number));
        count += 1;
    }
    assert_eq!(count, 20);
}
