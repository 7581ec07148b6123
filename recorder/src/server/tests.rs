use std::sync::Arc;

use proptest::prelude::*;
use sallyport_audit::record::{Event, Instance, LogEnd, Pruned};
use sallyport_audit::wire::{Batch, Frame, Hello, PROTOCOL, Refuse, RefuseCode};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::frames::{FrameReader, write};
use crate::testing::{self, MemoryDisk, Pen, block_on, command, door, hello, start};

struct Peer {
    reader: FrameReader<tokio::io::ReadHalf<DuplexStream>>,
    out: tokio::io::WriteHalf<DuplexStream>,
    served: JoinHandle<Result<(), String>>,
}

fn shared(limits: Limits) -> Shared {
    let log = testing::open(&Arc::new(MemoryDisk::default()));
    Shared::new(log, limits, CancellationToken::new())
}

fn connect(limits: Limits) -> (Peer, Log) {
    let shared = shared(limits);
    (Peer::of(door("a"), &shared), shared.log)
}

impl Peer {
    fn of(door: Door, shared: &Shared) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let served = tokio::spawn(serve_stream(far, door, shared.clone()));
        let (read, out) = tokio::io::split(near);
        Self {
            reader: FrameReader::new(read),
            out,
            served,
        }
    }

    /// Of this Pod of the door, greeted.
    async fn greeted(pod: &str, pen: &Pen, shared: &Shared) -> Self {
        let mut peer = Self::of(door(pod), shared);
        peer.say(Frame::Hello(Hello {
            pod: door(pod).pod,
            ..hello(&pen.origin.instance)
        }))
        .await;
        assert!(matches!(peer.hear().await, Frame::Welcome(_)));
        peer
    }

    async fn say(&mut self, frame: Frame) {
        write(&mut self.out, &[frame]).await.unwrap();
    }

    async fn hear(&mut self) -> Frame {
        self.reader.next().await.unwrap()
    }

    async fn refused(self) -> RefuseCode {
        self.refusal().await.code
    }

    async fn refusal(mut self) -> Refuse {
        let Frame::Refuse(refuse) = self.hear().await else {
            panic!("a refusal")
        };
        assert!(self.served.await.unwrap().is_err(), "the stream ends");
        refuse
    }
}

#[tokio::test]
async fn the_first_frame_must_be_a_fitting_hello() {
    let instance = Instance::random().unwrap();
    let mut other = hello(&instance);
    other.connection.uid = "another".into();
    for (frame, code) in [
        (Frame::KeepAlive, RefuseCode::Sequence),
        (
            Frame::Hello(Hello {
                version: 99,
                ..hello(&instance)
            }),
            RefuseCode::Version,
        ),
        (Frame::Hello(other), RefuseCode::Identity),
    ] {
        let (mut peer, _log) = connect(Limits::default());
        peer.say(frame).await;
        assert_eq!(peer.refused().await, code);
    }
}

#[tokio::test]
async fn batches_are_acknowledged_in_order_and_foreign_ones_end_the_stream() {
    let mut pen = Pen::new(&door("a"));
    let (mut peer, _log) = connect(Limits::default());
    peer.say(Frame::Hello(hello(&pen.origin.instance))).await;
    assert!(matches!(peer.hear().await, Frame::Welcome(welcome) if welcome.acked == 0 && !welcome.fenced));
    let batch = |first, record| {
        Frame::Batch(Batch {
            first,
            head: None,
            records: vec![record],
        })
    };
    for (n, event) in [(1, start()), (2, command(1, "x")), (3, command(2, "y"))] {
        peer.say(batch(n, pen.write(event))).await;
    }
    let mut acked = 0;
    while acked < 3 {
        let Frame::Ack(ack) = peer.hear().await else {
            panic!("an acknowledgement")
        };
        assert!(ack.up_to > acked);
        acked = ack.up_to;
    }
    peer.say(Frame::KeepAlive).await;
    assert_eq!(peer.hear().await, Frame::KeepAlive);
    // A record of another Pod, under this stream.
    let stranger = Pen::new(&door("b"));
    peer.say(batch(4, stranger.at(4, command(3, "z")))).await;
    assert_eq!(peer.refused().await, RefuseCode::Identity);
}

#[tokio::test]
async fn a_newer_door_is_told_in_words_and_what_is_on_record_of_it_stays() {
    /// A frame of a kind that this version does not know.
    const NEWER: &[u8] = &[0, 0, 0, 2, 10, 1];
    let shared = shared(Limits::default());
    let mut pen = Pen::new(&door("a"));
    let told = |refuse: &Refuse, words: &str| {
        let reason = &refuse.reason;
        assert_eq!(refuse.code, RefuseCode::Version, "{reason}");
        assert!(reason.contains(words) && reason.contains("from one image"), "{reason}");
    };

    let mut peer = Peer::of(door("a"), &shared);
    peer.say(Frame::Hello(Hello {
        version: PROTOCOL + 1,
        ..hello(&pen.origin.instance)
    }))
    .await;
    told(&peer.refusal().await, &format!("protocol {}", PROTOCOL + 1));

    let mut peer = Peer::of(door("a"), &shared);
    peer.out.write_all(NEWER).await.unwrap();
    told(&peer.refusal().await, "kind 10");

    let mut peer = Peer::greeted("a", &pen, &shared).await;
    let (first, head) = (1, None);
    let records = vec![pen.write(start())];
    peer.say(Frame::Batch(Batch { first, head, records })).await;
    peer.out.write_all(NEWER).await.unwrap();
    assert!(matches!(peer.hear().await, Frame::Ack(ack) if ack.up_to == 1));
    told(&peer.refusal().await, "kind 10");

    let mut again = Peer::of(door("a"), &shared);
    again.say(Frame::Hello(hello(&pen.origin.instance))).await;
    let Frame::Welcome(welcome) = again.hear().await else {
        panic!("a welcome")
    };
    assert_eq!((welcome.acked, welcome.fenced), (1, false));
}

#[tokio::test]
async fn a_number_that_is_not_its_place_ends_the_stream() {
    let mut pen = Pen::new(&door("a"));
    let (mut peer, _log) = connect(Limits::default());
    peer.say(Frame::Hello(hello(&pen.origin.instance))).await;
    peer.hear().await;
    peer.say(Frame::Batch(Batch {
        first: 2,
        head: None,
        records: vec![pen.write(start())],
    }))
    .await;
    assert_eq!(peer.refused().await, RefuseCode::Sequence);
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let (peer, _log) = connect(Limits {
        handshake: Duration::from_millis(50),
        ..Limits::default()
    });
    assert!(peer.served.await.unwrap().unwrap_err().contains("no Hello"));
    let (mut peer, _log) = connect(Limits {
        silence: Duration::from_millis(50),
        ..Limits::default()
    });
    peer.say(Frame::Hello(hello(&Instance::random().unwrap()))).await;
    peer.hear().await;
    assert!(peer.served.await.unwrap().unwrap_err().contains("too long"));
}

#[tokio::test]
async fn a_door_that_reads_nothing_is_not_waited_for() {
    let (mut peer, _log) = connect(Limits {
        silence: Duration::from_millis(50),
        ..Limits::default()
    });
    peer.say(Frame::Hello(hello(&Instance::random().unwrap()))).await;
    let speaking = async { while write(&mut peer.out, &[Frame::KeepAlive]).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(120), speaking).await;
    ended.expect("it is answered for ever");
    assert!(peer.served.await.unwrap().unwrap_err().contains("takes no answers"));
}

#[tokio::test]
async fn a_door_that_announces_much_keeps_no_other_waiting() {
    const HALF: u32 = 64 * 1024;
    let shared = shared(Limits {
        bytes: 2 * HALF as usize,
        bytes_of_one: HALF as usize,
        ..Limits::default()
    });
    let mut announced = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::greeted("a", &Pen::new(&door("a")), &shared).await;
        // A batch of which only the header ever comes.
        let [a, b, c, d] = (HALF + 1).to_be_bytes();
        peer.out.write_all(&[a, b, c, d, 3]).await.unwrap();
        announced.push(peer);
    }
    let mut pen = Pen::new(&door("b"));
    let mut other = Peer::greeted("b", &pen, &shared).await;
    let (first, head) = (1, None);
    let records = vec![pen.write(start())];
    other.say(Frame::Batch(Batch { first, head, records })).await;
    let answer = tokio::time::timeout(Duration::from_secs(120), other.hear()).await;
    assert!(matches!(&answer, Ok(Frame::Ack(ack)) if ack.up_to == 1), "{answer:?}");
}

#[tokio::test]
async fn a_door_that_opens_many_streams_leaves_some_to_others() {
    let shared = shared(Limits {
        streams: 4,
        ..Limits::default()
    });
    let pen = Pen::new(&door("a"));
    let _one = Peer::greeted("a", &pen, &shared).await;
    let _other = Peer::greeted("a", &pen, &shared).await;
    let mut third = Peer::of(door("a"), &shared);
    third.say(Frame::Hello(hello(&pen.origin.instance))).await;
    assert_eq!(third.refused().await, RefuseCode::Busy);
    Peer::greeted("b", &Pen::new(&door("b")), &shared).await;
}

#[tokio::test]
async fn a_goodbye_is_an_orderly_end() {
    let (mut peer, _log) = connect(Limits::default());
    peer.say(Frame::Hello(hello(&Instance::random().unwrap()))).await;
    peer.hear().await;
    peer.say(Frame::Bye).await;
    assert_eq!(peer.served.await.unwrap(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_ends_the_stream_and_nothing_else(greeted in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        block_on(async {
            let (mut peer, log) = connect(Limits::default());
            if greeted {
                peer.say(Frame::Hello(hello(&Instance::random().unwrap()))).await;
                peer.hear().await;
            }
            let size = log.status().borrow().size;
            peer.out.write_all(&bytes).await.unwrap();
            peer.out.shutdown().await.unwrap();
            let ended = peer.served.await.unwrap();
            assert!(ended.is_err() || greeted);
            assert!(log.status().borrow().size <= size.max(1));
        });
    }
}

#[tokio::test]
async fn names_of_a_doors_making_have_one_form() {
    let named = |name: &str| serde_json::from_value::<Instance>(name.into()).unwrap();
    let long = "f".repeat(12_000);
    for name in ["", "AB", "../../key", long.as_str(), "\u{1b}[2Jf"] {
        let (mut peer, _log) = connect(Limits::default());
        peer.say(Frame::Hello(hello(&named(name)))).await;
        assert_eq!(peer.refused().await, RefuseCode::Identity, "{name:?}");
        let shared = shared(Limits::default());
        let mut pen = Pen::new(&door("a"));
        pen.session = serde_json::from_value(name.into()).unwrap();
        let mut peer = Peer::greeted("a", &pen, &shared).await;
        let (first, head, records) = (1, None, vec![pen.write(start())]);
        peer.say(Frame::Batch(Batch { first, head, records })).await;
        assert_eq!(peer.refused().await, RefuseCode::Record, "{name:?}");
    }
}

#[tokio::test]
async fn what_is_on_disk_is_told_before_what_is_refused() {
    let disk = Arc::new(MemoryDisk::default());
    let log = testing::open(&disk);
    let shared = Shared::new(log, Limits::default(), CancellationToken::new());
    let mut pen = Pen::new(&door("a"));
    let mut peer = Peer::greeted("a", &pen, &shared).await;
    // While the first is brought to disk, the others come together: one in order, and one of a session that is open already.
    disk.slow_syncs(Duration::from_millis(300));
    for (first, event) in [(1, start()), (2, command(1, "x")), (3, start())] {
        let (head, records) = (None, vec![pen.write(event)]);
        peer.say(Frame::Batch(Batch { first, head, records })).await;
    }
    let mut acked = 0;
    let refused = loop {
        match peer.hear().await {
            Frame::Ack(ack) => acked = ack.up_to,
            Frame::Refuse(refuse) => break refuse.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((acked, refused), (2, RefuseCode::Record));
}

#[tokio::test]
async fn a_door_says_nothing_of_the_log_itself() {
    let pruned = Event::Pruned(Pruned {
        before: 256,
        kept_secs: 1,
    });
    for event in [pruned, Event::LogEnd(LogEnd { reason: "x".into() })] {
        let shared = shared(Limits::default());
        let mut pen = Pen::new(&door("a"));
        let mut peer = Peer::greeted("a", &pen, &shared).await;
        let (first, head, records) = (1, None, vec![pen.write(event)]);
        peer.say(Frame::Batch(Batch { first, head, records })).await;
        assert_eq!(peer.refused().await, RefuseCode::Identity);
    }
}
