//! One door's stream, from Hello to the end.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sallyport_audit::checkpoint::Head;
use sallyport_audit::record::{Instance, SessionId, Writer};
use sallyport_audit::wire::{
    Ack, Batch, Frame, Hello, PROTOCOL, Present, Refuse, RefuseCode, Unvouched, Vouched, Welcome, WireError,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::room::{Own, Taken};
use super::{Door, Shared};
use crate::attest::People;
use crate::frames::{FrameReader, StreamError, write};
use crate::log::{Attached, Checked, LogError, Receipt};

/// Batches of one stream that are read and not yet answered.
const IN_FLIGHT: usize = 64;
/// Tokens of one stream that are looked at, or whose answer was not taken yet.
const TOKENS: usize = 256;
/// Why a stream ends whose door reads nothing.
const UNTAKEN: &str = "the door takes no answers";
/// What helps where the two do not speak the same.
const ONE_IMAGE: &str = "run doors and recorders from one image";

/// What the answering half is told.
enum Answer {
    /// Records on their way to disk.
    Pending {
        answer: oneshot::Receiver<Result<Receipt, LogError>>,
        room: Taken,
    },
    /// Say that we are here.
    Alive,
    /// Say what a token proves.
    Vouched(Vouched),
    /// Say why not, and end.
    Refuse(LogError),
}

/// Serves one stream whose far end is known to be `door`. `Ok` is an orderly end (goodbye, or our own shutdown).
///
/// # Errors
/// Why the stream ended otherwise, in words.
pub async fn serve_stream<S>(stream: S, door: Door, shared: Shared) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (read, mut out) = tokio::io::split(stream);
    let mut reader = FrameReader::new(read);
    let seat = shared.seats.take(&door);
    let greeted = match timeout(shared.limits.handshake, reader.next()).await {
        Ok(Ok(Frame::Hello(_))) if seat.is_none() => Err(LogError::new(
            RefuseCode::Busy,
            "this door has as many streams as the recorder leaves to one",
        )),
        Ok(Ok(Frame::Hello(hello))) => greet(hello, &door, &shared).await,
        Ok(Ok(_)) => Err(LogError::new(RefuseCode::Sequence, "a stream begins with Hello")),
        Ok(Err(StreamError::Wire(error @ WireError::Kind(_)))) => Err(of_another_version(&error)),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no Hello in time".to_owned()),
    };
    let (attached, welcome) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            refuse(&mut out, &error, shared.limits.handshake).await;
            return Err(error.reason);
        }
    };
    say(&mut out, Frame::Welcome(welcome), shared.limits.handshake).await?;
    relay(reader, out, attached, &door, &shared).await
}

async fn greet(hello: Hello, door: &Door, shared: &Shared) -> Result<(Attached, Welcome), LogError> {
    let Hello {
        connection,
        head,
        instance,
        permit,
        pod,
        version,
    } = hello;
    if version != PROTOCOL {
        return Err(LogError::new(
            RefuseCode::Version,
            format!("protocol {version} is not spoken here, but {PROTOCOL}: {ONE_IMAGE}"),
        ));
    }
    if connection != door.connection || pod != door.pod {
        return Err(LogError::new(
            RefuseCode::Identity,
            "the certificate speaks for another Connection or Pod",
        ));
    }
    // A name in memory, in answers and in every record: of a door's making it could be of any length.
    if Instance::parse(instance.as_str()).is_none() {
        return Err(LogError::new(
            RefuseCode::Identity,
            "a start of a door has 32 hex digits as its name",
        ));
    }
    if !shared.takes(&connection.namespace) {
        return Err(LogError::new(
            RefuseCode::Namespace,
            format!("this sink takes no Connections from namespace {}", connection.namespace),
        ));
    }
    let standing = shared
        .log
        .attach(instance.clone(), connection, pod, head, permit)
        .await?;
    let attached = Attached::new(shared.log.clone(), instance);
    let vkey = shared.log.key().to_string();
    Ok((
        attached,
        Welcome {
            acked: standing.acked,
            fenced: standing.fenced,
            head: standing.head,
            permit: standing.permit,
            tokens: shared.people.wants_tokens(),
            vkey,
        },
    ))
}

/// Reads in this task and answers in another, so that several batches are on their way to disk at once.
async fn relay<S>(
    mut reader: FrameReader<ReadHalf<S>>,
    out: WriteHalf<S>,
    mut attached: Attached,
    door: &Door,
    shared: &Shared,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (answers, queue) = mpsc::channel(IN_FLIGHT);
    let mut answering = tokio::spawn(answer(queue, out, shared.limits.silence));
    let ended = tokio::select! {
        ended = receive(&mut reader, &answers, &attached.instance, door, shared) => ended,
        () = answers.closed() => Err("the answering half ended".to_owned()),
        () = shared.end.cancelled() => {
            // What was read is answered before the goodbye.
            let _ = answers.send(Answer::Refuse(LogError::stopping())).await;
            Err("the recorder is stopping".to_owned())
        }
    };
    drop(answers);
    let answered = match timeout(shared.limits.silence, &mut answering).await {
        Ok(answered) => answered.unwrap_or_else(|error| Err(error.to_string())),
        Err(_) => {
            // What it was not told, it asks about on its next stream.
            answering.abort();
            Err(UNTAKEN.to_owned())
        }
    };
    attached.goodbye = ended.is_ok() && answered.is_ok();
    match ended {
        Err(_) if shared.end.is_cancelled() => Ok(()),
        _ => answered.and(ended),
    }
}

/// `Ok` after the door's goodbye.
async fn receive<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    answers: &mpsc::Sender<Answer>,
    instance: &Instance,
    door: &Door,
    shared: &Shared,
) -> Result<(), String> {
    let gone = |_| "the answering half ended".to_owned();
    let tokens = Arc::new(Semaphore::new(TOKENS));
    let own = shared.room.of(door);
    loop {
        let (frame, room) = match timeout(shared.limits.silence, next(reader, &own)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(StreamError::Wire(error @ WireError::Kind(_)))) => {
                answers
                    .send(Answer::Refuse(of_another_version(&error)))
                    .await
                    .map_err(gone)?;
                return Err(error.to_string());
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(StreamError::Silent.to_string()),
        };
        let answer = match frame {
            Frame::Batch(Batch { first, head, records }) => match check(first, records, instance, door, shared) {
                Ok(records) => Answer::Pending {
                    answer: submit(shared, records, head),
                    room,
                },
                Err(error) => Answer::Refuse(error),
            },
            Frame::Present(present) => match look(present, &tokens, door, shared, answers) {
                Ok(None) => continue,
                // By the way that waits: a door that hears no answers is not read on.
                Ok(Some(vouched)) => Answer::Vouched(vouched),
                Err(error) => Answer::Refuse(error),
            },
            Frame::KeepAlive => Answer::Alive,
            Frame::Bye => return Ok(()),
            _ => Answer::Refuse(LogError::new(
                RefuseCode::Sequence,
                "a frame that doors do not send here",
            )),
        };
        let last = matches!(answer, Answer::Refuse(_));
        answers.send(answer).await.map_err(gone)?;
        if last {
            return Err("the door's records were refused".to_owned());
        }
    }
}

/// A door whose frames cannot be read is told what to do about it: it may be ours, and newer.
fn of_another_version(error: &WireError) -> LogError {
    LogError::new(RefuseCode::Version, format!("{error}: {ONE_IMAGE}"))
}

/// The next frame, with room for its bytes taken before they are read.
async fn next<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>, own: &Own) -> Result<(Frame, Taken), StreamError> {
    let header = reader.header().await?;
    let room = own.take(header.payload_len()).await.map_err(|_| StreamError::Ended)?;
    Ok((reader.body(header).await?, room))
}

/// Has a token looked at beside the stream, on which records wait for nobody. Gives the answer where there is no place for it.
fn look(
    present: Present,
    tokens: &Arc<Semaphore>,
    door: &Door,
    shared: &Shared,
    answers: &mpsc::Sender<Answer>,
) -> Result<Option<Vouched>, LogError> {
    let People::Checked(attestor) = &shared.people else {
        return Err(LogError::new(RefuseCode::Sequence, "no token is wanted here"));
    };
    // It is a name in memory and in answers: of a door's making it could be of any length.
    if SessionId::parse(present.session.as_str()).is_none() {
        return Err(LogError::new(RefuseCode::Record, "a token of no session"));
    }
    let Ok(place) = Arc::clone(tokens).try_acquire_owned() else {
        let refused = Some(Unvouched {
            later: true,
            reason: format!("{TOKENS} tokens of this door are looked at already; try again"),
        });
        let session = present.session;
        return Ok(Some(Vouched { refused, session }));
    };
    let (attestor, log, door) = (Arc::clone(attestor), shared.log.clone(), door.clone());
    // A stream that ends waits for no issuer.
    let answers = answers.downgrade();
    tokio::spawn(async move {
        let vouched = attestor.check(present, &door, &log).await;
        if let Some(answers) = answers.upgrade() {
            // A door that is gone asks again.
            let _ = answers.send(Answer::Vouched(vouched)).await;
        }
        drop(place);
    });
    Ok(None)
}

fn submit(shared: &Shared, records: Vec<Checked>, head: Option<Head>) -> oneshot::Receiver<Result<Receipt, LogError>> {
    shared.log.append(records, head)
}

/// A door speaks for itself only, in its own order.
fn check(
    first: u64,
    records: Vec<Vec<u8>>,
    instance: &Instance,
    door: &Door,
    shared: &Shared,
) -> Result<Vec<Checked>, LogError> {
    let mut checked = Vec::with_capacity(records.len());
    for (seq, record) in (first..).zip(records) {
        let record = Checked::new(record)?;
        let (source, session) = (&record.header().source, record.header().session.as_ref());
        let own = source.connection.as_deref() == Some(&door.connection)
            && *source.pod == door.pod
            && source.writer == Writer::Proxy;
        if !own {
            return Err(LogError::new(
                RefuseCode::Identity,
                "a record names another Connection or Pod than the certificate",
            ));
        }
        if session.is_some_and(|session| SessionId::parse(session.as_str()).is_none()) {
            return Err(LogError::new(
                RefuseCode::Record,
                "a session has 32 hex digits as its name",
            ));
        }
        if source.instance != *instance || source.seq != seq {
            return Err(LogError::new(
                RefuseCode::Sequence,
                "a record's number is not its place in the batch",
            ));
        }
        checked.push(shared.people.judge(record, door, &shared.log)?);
    }
    Ok(checked)
}

/// Answers in the order of the batches; acknowledgements that are ready together become one. A door takes each `within` that
/// time: what waits behind it keeps room that others need.
async fn answer<W: AsyncWrite + Unpin>(
    mut queue: mpsc::Receiver<Answer>,
    mut out: W,
    within: Duration,
) -> Result<(), String> {
    let mut next = queue.recv().await;
    while let Some(item) = next.take() {
        let result = match item {
            Answer::Alive => say(&mut out, Frame::KeepAlive, within).await.map(|()| None),
            Answer::Vouched(vouched) => say(&mut out, Frame::Vouched(vouched), within).await.map(|()| None),
            Answer::Refuse(error) => Ok(Some(error)),
            Answer::Pending { answer, room } => {
                let answered = answer.await;
                drop(room);
                match answered.unwrap_or_else(|_| Err(LogError::stopping())) {
                    Err(error) => Ok(Some(error)),
                    Ok(first) => {
                        let (Receipt { up_to, head }, refused) = gather(first, &mut queue, &mut next);
                        // What is on disk is told first: the door takes for unrecorded whatever it hears nothing of.
                        let said = say(&mut out, Frame::Ack(Ack { up_to, head }), within).await;
                        said.map(|()| refused)
                    }
                }
            }
        };
        if let Some(error) = result? {
            refuse(&mut out, &error, within).await;
            return Err(error.reason);
        }
        if next.is_none() {
            next = queue.recv().await;
        }
    }
    Ok(())
}

/// Takes further acknowledgements that are ready, up to the first that is a refusal. What else comes by stays in `next`.
fn gather(
    first: Receipt,
    queue: &mut mpsc::Receiver<Answer>,
    next: &mut Option<Answer>,
) -> (Receipt, Option<LogError>) {
    let mut newest = first;
    loop {
        *next = queue.try_recv().ok();
        let Some(Answer::Pending { answer, .. }) = next else {
            return (newest, None);
        };
        let Some(later) = answer.now_or_never() else {
            return (newest, None);
        };
        *next = None;
        match later.unwrap_or_else(|_| Err(LogError::stopping())) {
            Ok(receipt) => newest = receipt,
            Err(error) => return (newest, Some(error)),
        }
    }
}

async fn say<W: AsyncWrite + Unpin>(out: &mut W, frame: Frame, within: Duration) -> Result<(), String> {
    match timeout(within, write(out, &[frame])).await {
        Ok(said) => said.map_err(|error| error.to_string()),
        Err(_) => Err(UNTAKEN.to_owned()),
    }
}

async fn refuse<W: AsyncWrite + Unpin>(out: &mut W, error: &LogError, within: Duration) {
    let frame = Frame::Refuse(Refuse {
        code: error.code,
        reason: error.reason.clone(),
        session: error.session.clone(),
    });
    // A peer that is gone hears no reason.
    let _ = say(out, frame, within).await;
    let _ = timeout(within, tokio::io::AsyncWriteExt::shutdown(out)).await;
}
