//! Interval logs in the standard format of HdrHistogram, written by a thread of their own:
//! compressing a histogram takes half a millisecond, which must not make the load late.

use crate::recorder::Times;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// What the log holds: values are nanoseconds, maxima milliseconds, times seconds since the
/// beginning. Lines without a tag are latency from the intended start.
const ABOUT: [&str; 2] = [
    "[Histogram log format version 1.3]",
    "latency from the intended start; lines tagged service: service time; values in ns, max in ms",
];
/// Values are in ns, the column of maxima in ms, as other writers of the format have it.
const DIVISOR: f64 = 1e6;

/// One interval.
struct Interval {
    from: Duration,
    length: Duration,
    times: Times,
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct IntervalLog {
    intervals: Sender<Interval>,
    writer: JoinHandle<io::Result<()>>,
}

impl IntervalLog {
    /// Begins a log of a load that began at `began`. The wall clock is not asked again: each
    /// interval is told by how long after the beginning it was, so a clock that is set meanwhile
    /// changes nothing.
    pub fn begin(file: Box<dyn Write + Send>, began: SystemTime) -> IntervalLog {
        let (intervals, arriving) = channel::<Interval>();
        let writer = std::thread::spawn(move || {
            let mut file = BufWriter::new(file);
            let mut serializer = V2DeflateSerializer::new();
            let mut header = IntervalLogWriterBuilder::new();
            for line in ABOUT {
                header.add_comment(line);
            }
            header.with_start_time(began).with_base_time(began).with_max_value_divisor(DIVISOR);
            header.begin_log_with(&mut file, &mut serializer)?;
            writeln!(
                file,
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
            )?;
            for Interval { from, length, times } in arriving {
                let mut line = Vec::new();
                let mut log = IntervalLogWriterBuilder::new();
                let mut log = log
                    .with_max_value_divisor(DIVISOR)
                    .begin_log_with(&mut line, &mut serializer)?;
                let told = log.write_histogram(&times.latency, from, length, None);
                told.and_then(|()| {
                    log.write_histogram(&times.service, from, length, Tag::new("service"))
                })
                .map_err(io::Error::other)?;
                // The divisor is stated once, at the head.
                let text = line.split_inclusive(|b| *b == b'\n').filter(|l| !l.starts_with(b"#"));
                text.into_iter().try_for_each(|l| file.write_all(l))?;
                file.flush()?;
            }
            file.flush()
        });
        IntervalLog { intervals, writer }
    }

    /// Hands on what was measured in an interval.
    pub fn write(&self, from: Duration, length: Duration, times: Times) {
        // A writer that is gone has an error to tell, at the end.
        let _ = self.intervals.send(Interval { from, length, times });
    }

    /// Ends the log.
    pub fn end(self) -> io::Result<()> {
        drop(self.intervals);
        self.writer.join().unwrap_or_else(|_| Err(io::Error::other("its writer ended early")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Ended;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_is_read_back_by_the_standard_reader() {
        let (kept, second) = (Kept::default(), Duration::from_secs(1));
        let log = IntervalLog::begin(
            Box::new(kept.clone()),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        );
        for n in 0..3u32 {
            let mut times = Times::new();
            let service = Duration::from_micros(50);
            times.record(&Ended {
                at: second,
                latency: Duration::from_millis(7) * (n + 1),
                service,
                as_expected: true,
            });
            log.write(second * n, second, times);
        }
        log.end().expect("written");
        let bytes = kept.0.lock().expect("lock").clone();
        let text = String::from_utf8(bytes.clone()).expect("text");
        assert!(text.contains("#[StartTime: 1700000000.000 (seconds since epoch)]\n"), "{text}");
        assert_eq!(
            text.lines()
                .filter(|l| l.starts_with("#[MaxValueDivisor") || l.starts_with('"'))
                .count(),
            2,
            "{text}"
        );
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(i) = entry.expect("readable") {
                use base64::Engine;
                let raw = base64::engine::general_purpose::STANDARD
                    .decode(i.encoded_histogram())
                    .expect("base64");
                let histogram: hdrhistogram::Histogram<u64> =
                    Deserializer::new().deserialize(&mut &raw[..]).expect("histogram");
                let tag = i.tag().map(|t| t.as_str().to_owned());
                seen.push((
                    i.start_timestamp().as_secs(),
                    tag,
                    i.max(),
                    histogram.len(),
                    histogram.max() / 1_000_000,
                ));
            }
        }
        let service = || Some("service".to_owned());
        assert_eq!(
            seen.iter().map(|s| (s.0, s.1.clone(), s.3, s.4)).collect::<Vec<_>>(),
            [
                (0, None, 1, 7),
                (0, service(), 1, 0),
                (1, None, 1, 14),
                (1, service(), 1, 0),
                (2, None, 1, 21),
                (2, service(), 1, 0)
            ]
        );
        assert!((seen[2].2 - 14.0).abs() < 0.02, "{seen:?}");
    }
}
