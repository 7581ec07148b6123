use std::sync::atomic::Ordering;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_no_session_looks_at_is_given_back() {
    let latest = Arc::new(Latest::default());
    latest.publish("0/1", 0, &Arc::default());
    latest.connections.store(1, Ordering::Release);
    let (_queue, requests) = mpsc::unbounded_channel();
    let side = Side::new("bank".to_owned(), Arc::clone(&latest), &Handle::current());
    tokio::spawn(side.run(requests));
    tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
    assert!(latest.at("0/1", 0).is_some());
    latest.connections.store(0, Ordering::Release);
    tokio::time::sleep(IDLE).await;
    assert!(latest.at("0/1", 0).is_none());
}
