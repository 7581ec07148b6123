//! One writer ever: what a recorder may do before the operator spoke, and after it spoke to another.

use sallyport_audit::note::Signer;
use sallyport_audit::permit::Permit;
use sallyport_audit::record::{Event, Record};

use super::*;

/// An operator that lets whoever asks write.
struct Operator(Signer);

impl Operator {
    fn new() -> Self {
        Self(Signer::generate("sallyport.dev/operator").unwrap().0)
    }

    fn open(&self, disk: &Arc<MemoryDisk>) -> Log {
        let config = Config {
            witness: Some(self.0.verifier().clone()),
            ..config()
        };
        Log::open(disk.clone(), config).unwrap()
    }

    fn permit(&self, log: &Log, epoch: u64) -> String {
        let head = block_on(log.publish()).unwrap();
        self.signed(log, head, epoch, log.boot())
    }

    fn signed(&self, log: &Log, head: Head, epoch: u64, boot: &Instance) -> String {
        Permit {
            origin: log.key().name().to_owned(),
            size: head.size,
            root: head.root,
            boot: boot.clone(),
            epoch,
        }
        .sign(&self.0)
    }
}

fn attach(log: &Log, pen: &Pen, permit: Option<String>) -> Result<Standing, LogError> {
    let (connection, pod) = (
        pen.origin.connection.as_deref().cloned().unwrap(),
        (*pen.origin.pod).clone(),
    );
    block_on(log.attach(pen.origin.instance.clone(), connection, pod, None, permit))
}

fn code<T>(result: Result<T, LogError>) -> Option<RefuseCode> {
    result.err().map(|error| error.code)
}

#[test]
fn nothing_is_taken_before_the_operator_has_spoken() {
    let operator = Operator::new();
    let disk = Arc::new(MemoryDisk::default());
    let log = operator.open(&disk);
    let mut pen = Pen::new(&door("a"));
    let leaf = pen.write(start());
    assert!(log.status().borrow().fenced);
    assert_eq!(code(attach(&log, &pen, None)), Some(RefuseCode::Fenced));
    assert_eq!(code(submit(&log, &leaf)), Some(RefuseCode::Fenced));

    let head = block_on(log.publish()).unwrap();
    let stranger = Operator::new();
    let another = Instance::random().unwrap();
    let elsewhere = Head { size: 1, ..head };
    for wrong in [
        stranger.signed(&log, head, 1, log.boot()),
        operator.signed(&log, head, 1, &another),
        operator.signed(&log, elsewhere, 1, log.boot()),
        operator.signed(&log, head, 1, log.boot()).replacen("\n1\n", "\n2\n", 1),
        String::new(),
    ] {
        assert_eq!(
            code(block_on(log.permit(wrong.clone()))),
            Some(RefuseCode::Fenced),
            "{wrong}"
        );
        assert_eq!(code(submit(&log, &leaf)), Some(RefuseCode::Fenced));
    }
    block_on(log.permit(operator.permit(&log, 1))).unwrap();
    assert!(!log.status().borrow().fenced);
    submit(&log, &leaf).unwrap();
    block_on(log.close("test"));
    assert_eq!(kinds(&log), ["logStart", "sessionStart", "logEnd"]);
    let Event::LogStart(started) = Record::parse(&read(&log)[0]).unwrap().event else {
        panic!("a log begins with its start")
    };
    assert_eq!(
        started.epoch,
        Some(1),
        "the log itself says by which permit it is written"
    );
}

#[test]
fn a_permit_ends_with_the_start_it_was_for() {
    let operator = Operator::new();
    let disk = Arc::new(MemoryDisk::default());
    let log = operator.open(&disk);
    let permit = operator.permit(&log, 1);
    block_on(log.permit(permit.clone())).unwrap();
    submit(&log, &Pen::new(&door("a")).write(start())).unwrap();
    block_on(log.close("test"));

    let again = operator.open(&disk);
    let size = again.status().borrow().size;
    assert_eq!(code(block_on(again.permit(permit))), Some(RefuseCode::Fenced));
    block_on(again.permit(operator.permit(&again, 2))).unwrap();
    wait_for("its own start", || again.status().borrow().size == size + 1);
}

#[test]
fn a_recorder_that_was_replaced_stops_when_it_hears_of_it() {
    let operator = Operator::new();
    let disk = Arc::new(MemoryDisk::default());
    let old = operator.open(&disk);
    block_on(old.permit(operator.permit(&old, 1))).unwrap();
    let mut pen = Pen::new(&door("a"));
    let standing = attach(&old, &pen, None).unwrap();
    submit(&old, &pen.write(start())).unwrap();
    let first = standing.permit.unwrap();

    // Its node is cut off; another gets what is on its disk.
    let copy = Arc::new(disk.crash(0));
    let new = operator.open(&copy);
    block_on(new.permit(operator.permit(&new, 2))).unwrap();
    let visitor = Pen::new(&door("b"));
    let second = attach(&new, &visitor, Some(first)).unwrap().permit.unwrap();
    assert_eq!(Permit::stated_epoch(&second), Some(2));

    // The old one comes back, and a door that has been at the new one comes to it.
    let forged = second.replacen("\n2\n", "\n9\n", 1);
    assert!(
        attach(&old, &visitor, Some(forged)).is_ok(),
        "an invented permit stops nobody"
    );
    assert_eq!(code(attach(&old, &visitor, Some(second))), Some(RefuseCode::Fenced));
    assert!(old.status().borrow().broken.is_some());
    assert_eq!(
        code(submit(&old, &pen.write(command(1, "x")))),
        Some(RefuseCode::Storage),
        "for good"
    );
    assert_eq!(code(attach(&new, &pen, None)), None, "the new one goes on");
}

#[test]
fn time_at_the_fence_is_not_held_against_doors() {
    let operator = Operator::new();
    let disk = Arc::new(MemoryDisk::default());
    let first = operator.open(&disk);
    block_on(first.permit(operator.permit(&first, 1))).unwrap();
    let mut pen = Pen::new(&door("a"));
    attach(&first, &pen, None).unwrap();
    submit(&first, &pen.write(start())).unwrap();
    let crashed = Arc::new(disk.crash(0));
    let quick = Config {
        witness: Some(operator.0.verifier().clone()),
        grace: Duration::from_millis(50),
        ..config()
    };
    let again = Log::open(crashed, quick).unwrap();
    // Longer than the grace: the publications show that the writer has looked around meanwhile.
    let until = std::time::Instant::now() + Duration::from_millis(200);
    while std::time::Instant::now() < until {
        block_on(again.publish()).unwrap();
    }
    assert_eq!(
        again.status().borrow().sessions,
        1,
        "nothing was ended while doors were kept out"
    );
    block_on(again.permit(operator.permit(&again, 2))).unwrap();
    wait_for("the end record after the grace", || {
        again.status().borrow().sessions == 0
    });
}
