//! How a router ends that failed: what was begun has no answer, what was not is refused, and everyone is told goodbye.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::router::run;

/// A connection's lines as the router is handed them.
fn parcel(conn: u64, lines: &str) -> Message {
    let mut parcel = Parcel::new(ConnId(conn));
    JsonDecoder::new(&TERMS).decode(&mut BytesMut::from(lines.as_bytes()), &mut parcel.intake);
    Message::Parcel(parcel)
}

#[tokio::test]
async fn of_what_a_failed_router_never_began_each_request_is_refused_and_a_quit_has_its_goodbye() {
    let Stage { router, total, .. } = Stage::new();
    let (mail, messages) = mpsc::channel(8);
    let (_control, controls) = mpsc::channel(1);
    let mut ends = Vec::new();
    for conn in [1, 2, 3] {
        let (outbox, source, drain) = outbox(1 << 20, 256 << 10, &total);
        ends.push((source, drain));
        let connect = Message::Connect(Box::new(Connect { conn: ConnId(conn), outbox }));
        if conn < 3 {
            mail.send(connect).await.expect("there is room");
            continue;
        }
        let send = |id| format!("{{\"op\":\"send\",\"room\":\"r\",\"body\":1,\"id\":{id}}}\n");
        mail.send(parcel(1, &send(1))).await.expect("there is room");
        mail.send(Message::Fail).await.expect("there is room");
        mail.send(parcel(1, &format!("{}{{\"op\":\"quit\",\"id\":\"q\"}}\n", send(2)))).await.expect("there is room");
        mail.send(connect).await.expect("there is room");
        mail.send(parcel(3, "{\"op\":\"ping\",\"id\":3}\n")).await.expect("there is room");
    }
    let failed =
        TaskTracker::new().spawn(run(router, messages, controls, mpsc::channel(1).1, CancellationToken::new())).await;
    assert!(failed.expect_err("it was told to").is_panic());
    let bye = "{\"ev\":\"bye\",\"reason\":\"shutdown\",\"reconnect_ms\":1000}\n";
    let refused = |id, op| {
        let words = "the server goes down";
        format!("{{\"ev\":\"error\",\"id\":{id},\"code\":\"shutting_down\",\"message\":\"{words}\",\"op\":\"{op}\"}}\n")
    };
    let parted = refused(2, "send") + &bye.replace("\"reason\"", "\"id\":\"q\",\"reason\"");
    let new = refused(3, "ping") + bye;
    for (expected, (_source, mut drain)) in [parted.as_str(), bye, &new].into_iter().zip(ends) {
        assert_eq!(written(&mut drain), expected);
    }
}

#[test]
fn one_that_waits_for_a_replay_when_the_server_goes_down_has_the_goodbye_it_asked_for() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    // More than the feed has room for, so that the replay is not through when the connection wants to go.
    let body = "x".repeat(60_000);
    let sends = format!("{{\"op\":\"send\",\"room\":\"r\",\"body\":\"{body}\"}}\n").repeat(40);
    stage.guest(2, "bob");
    stage.says(2, sends.trim_end());
    let mut lines = parcel(1, "{\"op\":\"join\",\"room\":\"r\",\"after\":0}\n{\"op\":\"quit\",\"id\":\"q\"}\n");
    if let Message::Parcel(parcel) = &mut lines {
        parcel.intake.claim = 0;
    }
    stage.router.handle(lines);
    stage.router.shutdown();
    let heard = stage.hears(1);
    assert!(
        heard.ends_with("{\"ev\":\"bye\",\"id\":\"q\",\"reason\":\"shutdown\",\"reconnect_ms\":1000}\n"),
        "no goodbye"
    );
}
