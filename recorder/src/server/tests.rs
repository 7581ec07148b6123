use std::sync::Arc;

use proptest::prelude::*;
use sallyport_audit::record::Instance;
use sallyport_audit::wire::{Batch, Frame, Hello, Refuse, RefuseCode};
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

fn connect(limits: Limits) -> (Peer, Log) {
    let log = testing::open(&Arc::new(MemoryDisk::default()));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let shared = Shared::new(log.clone(), limits, CancellationToken::new());
    let served = tokio::spawn(serve_stream(far, door("a"), shared));
    let (read, out) = tokio::io::split(near);
    (
        Peer {
            reader: FrameReader::new(read),
            out,
            served,
        },
        log,
    )
}

impl Peer {
    async fn say(&mut self, frame: Frame) {
        write(&mut self.out, &[frame]).await.unwrap();
    }

    async fn hear(&mut self) -> Frame {
        self.reader.next().await.unwrap()
    }

    async fn refused(mut self) -> RefuseCode {
        let Frame::Refuse(Refuse { code, .. }) = self.hear().await else {
            panic!("a refusal")
        };
        assert!(self.served.await.unwrap().is_err(), "the stream ends");
        code
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
