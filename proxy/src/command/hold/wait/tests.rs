//! What an asker is told while they wait. Time is tokio's own and costs none.

use std::future::{pending, ready};

use sallyport_audit::record::RequestRef;
use sallyport_crds::approval_policy::OnHold;
use tokio::sync::watch;
use tokio::time::sleep;

use super::*;
use crate::command::{Asked, WentAhead};

/// A client that stays, and what it was told: whether it was the first word, how many had approved, and the seconds left.
#[derive(Default)]
struct Screen(Vec<String>);

impl Desk for Screen {
    fn on_hold(&self) -> Option<OnHold> {
        None
    }

    fn break_glass(&self) -> Option<String> {
        None
    }

    fn in_transaction(&self) -> bool {
        false
    }

    async fn target_waits(&mut self, _: &mut Session) -> Result<Option<Duration>, Gone> {
        Ok(None)
    }

    fn tell(&mut self, lines: &Waiting) {
        let word = if lines.first { "first" } else { "again" };
        let left = (lines.left + Duration::from_millis(500)).as_secs();
        self.0.push(format!("{word} {} {left}", lines.progress));
    }

    fn went_ahead(&mut self, _: &WentAhead) {}

    async fn gone(&mut self) -> Gone {
        pending().await
    }

    async fn circumstances(&mut self, _: &mut Session) -> Result<Option<Vec<u8>>, Gone> {
        Ok(None)
    }

    async fn ready(&mut self, _: &mut Session) {}

    async fn again(&mut self, _: &mut Session) -> Result<Vec<Asked>, Gone> {
        Ok(Vec::new())
    }

    async fn finally(&mut self, _: &mut Session) -> Result<Vec<Asked>, Gone> {
        Ok(Vec::new())
    }
}

fn progress(progress: &str) -> HoldState {
    HoldState::Waiting {
        progress: progress.to_owned(),
    }
}

/// A question that two people have to answer, and the first word about it to somebody who is patient for so long.
fn asked(seconds: u64) -> (watch::Sender<HoldState>, Held, Waiting) {
    let (state, watching) = watch::channel(progress("0/2"));
    let request = RequestRef {
        name: "bank-1".to_owned(),
        namespace: "doors".to_owned(),
        uid: "uid-bank-1".to_owned(),
    };
    let lines = Waiting {
        namespace: request.namespace.clone(),
        name: request.name.clone(),
        progress: String::new(),
        reasons: Vec::new(),
        needs: Vec::new(),
        left: Duration::from_secs(seconds),
        first: true,
    };
    let held = Held {
        request,
        expires: None,
        on_hold: OnHold::Wait,
        state: watching,
    };
    (state, held, lines)
}

#[tokio::test(start_paused = true)]
async fn each_reminder_tells_that_less_time_is_left() {
    let (_state, mut held, lines) = asked(150);
    let mut screen = Screen::default();
    let answer = answer(lines, &mut held, &mut screen, pending::<Option<Gone>>).await;
    assert!(matches!(answer, Answer::TimeUp));
    assert_eq!(screen.0, ["first 0/2 150", "again 0/2 90", "again 0/2 30"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_says_is_told_at_once_and_the_time_goes_on() {
    let (state, mut held, lines) = asked(150);
    let mut screen = Screen::default();
    let people = async {
        sleep(Duration::from_secs(30)).await;
        state.send_replace(progress("1/2"));
        sleep(Duration::from_secs(70)).await;
        state.send_replace(HoldState::Approved { approvers: Vec::new() });
    };
    let waiting = answer(lines, &mut held, &mut screen, pending::<Option<Gone>>);
    let (answer, ()) = tokio::join!(waiting, people);
    assert!(matches!(answer, Answer::Approved(_)));
    assert_eq!(screen.0, ["first 0/2 150", "again 1/2 120", "again 1/2 60"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_may_not_go_on_waits_for_nobody() {
    let (_state, mut held, lines) = asked(150);
    let mut screen = Screen::default();
    let answer = answer(lines, &mut held, &mut screen, || ready(Some(Gone::Revoked))).await;
    assert!(matches!(answer, Answer::Gone(Gone::Revoked)));
    assert_eq!(screen.0, ["first 0/2 150"]);
}
