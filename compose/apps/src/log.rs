//! Log lines, one for each event, to a file and to stdout: JSON objects, or plain text as programs
//! write it that nobody has taught structure.
//!
//! Lines are handed to writer threads, so that no request ever waits for a disk or a pipe. A writer
//! takes all lines that are waiting and writes whole lines with one call, in append mode;
//! [`Log::flush`] returns when what was logged before it is written. A sink that stands still may
//! hold [`FILE_BACKLOG`] lines; what does not fit is counted, never awaited.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

/// Lines that may wait for the file: about 25 MB at most.
const FILE_BACKLOG: usize = 65_536;
/// Lines that may wait for stdout, which is a convenience: the file is the record.
const STDOUT_BACKLOG: usize = 4_096;
/// The most bytes written with one call.
const BATCH_BYTES: usize = 128 * 1024;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    /// Something failed and was dealt with.
    Warning,
    /// Something failed for good.
    Error,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// An object with all fields.
    #[default]
    Json,
    /// Time, level, service and message; what else there is to say is left out.
    Text,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(format!("log format {name:?}: it wants json or text")),
        }
    }
}

/// One event. Fields that don't apply are left out of the line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    /// How serious it is.
    pub level: Level,
    service: String,
    /// What kind of event: `request`, `task`, `tick`, `startup`, `shutdown`, `dependency` …
    pub event: &'static str,
    pub message: String,
    /// The caller's opaque id, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// 16 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Two hexadecimal digits, `01` when sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_flags: Option<String>,
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Route template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// The authenticated user, as a full address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Row of the table `emails`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_id: Option<i64>,
    /// Name of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Id of a task, the same for all its executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// How an execution ended: `success`, `failure`, `retry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Line {
    /// A line of level info with nothing but its event and message.
    pub fn new(event: &'static str, message: impl Into<String>) -> Self {
        Self {
            timestamp: String::new(),
            level: Level::Info,
            service: String::new(),
            event,
            message: message.into(),
            operation_id: None,
            trace_id: None,
            span_id: None,
            trace_flags: None,
            method: None,
            endpoint: None,
            status: None,
            duration_ms: None,
            user: None,
            email_id: None,
            task: None,
            task_id: None,
            state: None,
            error: None,
        }
    }

    /// Says what went wrong and raises the level.
    pub fn failed(mut self, level: Level, error: impl Into<String>) -> Self {
        self.level = level;
        self.error = Some(error.into());
        self
    }

    fn render(&self, format: LogFormat) -> Vec<u8> {
        if format == LogFormat::Text {
            let level = match self.level {
                Level::Info => "INFO",
                Level::Warning => "WARN",
                Level::Error => "ERROR",
            };
            let error = self.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
            let text = format!("{level} {} {}{error}", self.service, self.message);
            // One event stays one line, whatever an error says.
            return format!("{} {}\n", self.timestamp, text.replace(['\r', '\n'], " "))
                .into_bytes();
        }
        // Strings, integers and floats only, so this can't fail; a NaN becomes null.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Milliseconds with three decimals, as lines carry them.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

enum Order {
    Line(Arc<[u8]>),
    Flush(SyncSender<()>),
}

/// A handle to the writers; clones share them.
#[derive(Clone, Debug)]
pub struct Log {
    format: LogFormat,
    service: Arc<str>,
    file: Option<SyncSender<Order>>,
    stdout: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Order::Line(_) => "Line",
            Order::Flush(_) => "Flush",
        })
    }
}

/// The log file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "log file {path}: {source}; LOG_FILE wants a path in a folder that exists and that this user may write to"
)]
pub struct LogFileError {
    path: PathBuf,
    source: std::io::Error,
}

impl Log {
    /// Lines of JSON.
    #[cfg(test)]
    pub fn open(service: &str, path: Option<&Path>) -> Result<Self, LogFileError> {
        Self::open_as(LogFormat::Json, service, path)
    }

    /// Starts the writers. Without a path lines go to stdout only.
    pub fn open_as(
        format: LogFormat,
        service: &str,
        path: Option<&Path>,
    ) -> Result<Self, LogFileError> {
        let file = match path {
            Some(path) => {
                let file = open_log_file(path)
                    .map_err(|source| LogFileError { path: path.to_owned(), source })?;
                let (sender, receiver) = sync_channel(FILE_BACKLOG);
                let writer = move || write_lines(&receiver, file, true);
                spawn("log-file", writer)
                    .map_err(|source| LogFileError { path: path.to_owned(), source })?;
                Some(sender)
            }
            None => None,
        };
        let (stdout, receiver) = sync_channel(STDOUT_BACKLOG);
        let writer = move || write_lines(&receiver, console(), false);
        spawn("log-stdout", writer)
            .map_err(|source| LogFileError { path: "/dev/stdout".into(), source })?;
        let dropped = Arc::new(AtomicU64::new(0));
        Ok(Self { format, service: service.into(), file, stdout, dropped })
    }

    /// Hands a line to the writers; never waits.
    pub fn write(&self, mut line: Line) {
        line.timestamp = timestamp(Timestamp::now());
        line.service = self.service.to_string();
        let bytes: Arc<[u8]> = line.render(self.format).into();
        if let Some(file) = &self.file
            && let Err(TrySendError::Full(_)) = file.try_send(Order::Line(bytes.clone()))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody reads stdout: the file has the line.
        let _ = self.stdout.try_send(Order::Line(bytes));
    }

    /// Lines that the file's writer could not take because it stood still.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was logged so far is written, at most `limit`. True when it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut written = true;
        for sink in self.file.iter().chain([&self.stdout]) {
            let (done, wait) = sync_channel(1);
            written &= sink.try_send(Order::Flush(done)).is_ok()
                && wait.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok();
        }
        written
    }
}

#[cfg(not(test))]
fn console() -> impl Write {
    std::io::stdout()
}

/// The tests' own output is not the place.
#[cfg(test)]
fn console() -> impl Write {
    std::io::sink()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(128 * 1024).spawn(work).map(drop)
}

/// Append mode; readable by all, whatever the umask says, since the shipper runs as another user.
fn open_log_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    // Another user may own a file that exists already: then its mode is theirs to choose.
    let _ = file.set_permissions(Permissions::from_mode(0o644));
    Ok(file)
}

/// RFC 3339, milliseconds, UTC.
fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Writes until all handles are gone. With `persist`, a failing write is tried again until it works
/// (a disk that was full may have room again), else the batch is given up.
fn write_lines(orders: &Receiver<Order>, mut sink: impl Write, persist: bool) {
    let mut batch = Vec::with_capacity(8 * 1024);
    let mut flushes = Vec::new();
    while let Ok(first) = orders.recv() {
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Line(bytes) => batch.extend_from_slice(&bytes),
                Order::Flush(done) => flushes.push(done),
            }
            next = (batch.len() < BATCH_BYTES).then(|| orders.try_recv().ok()).flatten();
        }
        write_batch(&batch, &mut sink, persist);
        batch.clear();
        for done in flushes.drain(..) {
            let _ = done.try_send(());
        }
    }
}

fn write_batch(batch: &[u8], sink: &mut impl Write, persist: bool) {
    let mut rest = batch;
    let mut complained = false;
    while !rest.is_empty() {
        match sink.write(rest) {
            Ok(count) if count > 0 => rest = &rest[count..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ if !persist => return,
            outcome => {
                if !complained {
                    complained = true;
                    eprintln!("log file: write failed ({outcome:?}); trying again until it works");
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    let _ = sink.flush();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_stated_fields_and_types_and_no_others() {
        let mut line = Line::new("request", "POST /api/v1/emails 202");
        line.operation_id = Some("op-1".into());
        line.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
        line.span_id = Some("00f067aa0ba902b7".into());
        line.trace_flags = Some("01".into());
        line.status = Some(202);
        line.duration_ms = Some(milliseconds(Duration::from_micros(12_345)));
        line.email_id = Some(7);
        let value: serde_json::Value =
            serde_json::from_slice(&line.render(LogFormat::Json)).unwrap();
        assert_eq!(value["trace_flags"], "01");
        assert!(value["status"].is_u64());
        assert!(value["email_id"].is_i64());
        assert_eq!(value["duration_ms"], 12.345);
        assert_eq!(value["level"], "info");
        for absent in ["user", "task", "task_id", "state", "error", "method", "endpoint"] {
            assert!(value.get(absent).is_none(), "{absent} should be absent");
        }
    }

    #[test]
    fn a_line_stays_one_line_whatever_it_says() {
        let line = Line::new("request", "a\nb").failed(Level::Error, "c\r\n\u{2028}\"d\"");
        for format in [LogFormat::Json, LogFormat::Text] {
            let bytes = line.render(format);
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "{format:?}");
            assert_eq!(bytes.last(), Some(&b'\n'));
        }
    }

    #[test]
    fn plain_text_says_time_level_service_message_and_error() {
        let mut line = Line::new("request", "GET /api/samples 503");
        line.timestamp = "2023-11-14T22:13:20.007Z".into();
        line.service = "gateway".into();
        line.operation_id = Some("op-1".into());
        let line = line.failed(Level::Error, "refused");
        assert_eq!(
            String::from_utf8(line.render(LogFormat::Text)).unwrap(),
            "2023-11-14T22:13:20.007Z ERROR gateway GET /api/samples 503: refused\n"
        );
        assert!("xml".parse::<LogFormat>().unwrap_err().contains("json or text"));
    }

    #[test]
    fn timestamps_are_rfc_3339_with_milliseconds() {
        let at = Timestamp::from_millisecond(1_700_000_000_007).unwrap();
        assert_eq!(timestamp(at), "2023-11-14T22:13:20.007Z");
        assert_eq!(timestamp(Timestamp::from_second(0).unwrap()), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_file_is_appended_to_is_readable_by_all_and_holds_every_line_after_a_flush() {
        let path = std::env::temp_dir().join(format!("apps-log-{}.log", uuid::Uuid::new_v4()));
        std::fs::write(&path, "earlier\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let log = Log::open("test", Some(&path)).unwrap();
        for number in 0..5_000 {
            log.write(Line::new("request", number.to_string()));
        }
        assert!(log.flush(Duration::from_secs(10)));
        let text = std::fs::read_to_string(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mode, 0o644);
        assert_eq!(log.dropped(), 0);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("earlier"));
        for (number, line) in lines.enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["message"], number.to_string());
            assert_eq!(value["service"], "test");
        }
        assert_eq!(text.lines().count(), 5_001);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error =
            Log::open("test", Some(Path::new("/nonexistent/x.log"))).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.log") && error.contains("LOG_FILE"), "{error}");
    }
}
