//! One line per request, written by a thread of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::AccessLog;
use crate::record::Record;
use crate::shared::Shared;

/// Lines that may wait to be written; more are dropped and counted.
const QUEUE: usize = 8192;

/// Writes access lines without ever waiting.
#[derive(Debug)]
pub(crate) struct AccessLogger {
    format: AccessLog,
    lines: SyncSender<String>,
}

/// What only the log needs to know of a request.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: SystemTime,
    pub(crate) client: IpAddr,
    pub(crate) method: String,
    /// Without the query, which may hold secrets.
    pub(crate) path: String,
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
}

impl AccessLogger {
    /// Starts the writing thread; none when lines are off. The thread ends with the logger.
    ///
    /// # Errors
    ///
    /// The system's, when no thread can be made.
    pub(crate) fn start(format: AccessLog) -> std::io::Result<Option<Self>> {
        if format == AccessLog::Off {
            return Ok(None);
        }
        let (lines, queue) = sync_channel::<String>(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            let mut out = std::io::BufWriter::new(std::io::stdout());
            while let Ok(line) = queue.recv() {
                // A closed standard output must not stop the gateway.
                _ = out.write_all(line.as_bytes());
                for line in queue.try_iter().take(QUEUE) {
                    _ = out.write_all(line.as_bytes());
                }
                _ = out.flush();
            }
        })?;
        Ok(Some(Self { format, lines }))
    }

    pub(crate) fn write(&self, line: &Line, record: &Record, took: Duration, shared: &Shared) {
        let text = match self.format {
            AccessLog::Json => json(line, record, took),
            AccessLog::Text | AccessLog::Off => text(line, record, took),
        };
        if let Err(TrySendError::Full(_)) = self.lines.try_send(text) {
            shared.metrics.log_line_dropped();
        }
    }
}

fn json(line: &Line, record: &Record, took: Duration) -> String {
    let at = line.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut text = serde_json::json!({
        "time": httpdate::fmt_http_date(line.at),
        "timestamp": at.as_millis() as u64,
        "client": line.client.to_string(),
        "method": line.method,
        "path": line.path,
        "status": record.status,
        "grpc_status": record.grpc_name(),
        "duration_ms": took.as_secs_f64() * 1000.0,
        "service": record.service.as_ref().map(|service| service.as_str()),
        "route": record.route.as_deref(),
        "attempts": record.attempts,
        "request_id": line.request_id,
        "trace_id": line.trace_id,
    })
    .to_string();
    text.push('\n');
    text
}

fn text(line: &Line, record: &Record, took: Duration) -> String {
    let mut text = String::with_capacity(160);
    // Writing to memory cannot fail.
    _ = writeln!(
        text,
        "{} {} {} {} {}{} {:.1}ms {} {}",
        httpdate::fmt_http_date(line.at),
        line.client,
        line.method,
        line.path,
        record.status,
        record.grpc_name().map_or(String::new(), |name| format!("/{name}")),
        took.as_secs_f64() * 1000.0,
        record.service.as_ref().map_or("-", |service| service.as_str()),
        line.request_id,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_and_hides_the_query() {
        let line = Line {
            at: SystemTime::UNIX_EPOCH,
            client: "192.0.2.1".parse().unwrap(),
            method: "GET".into(),
            path: "/a\"b".into(),
            request_id: "r".into(),
            trace_id: "t".into(),
        };
        let record = Record::for_tests(200);
        let json: serde_json::Value =
            serde_json::from_str(&json(&line, &record, Duration::from_millis(3))).unwrap();
        assert_eq!(json["path"], "/a\"b");
        assert_eq!(json["status"], 200);
        assert_eq!(json["duration_ms"], 3.0);
        let text = text(&line, &record, Duration::from_millis(3));
        assert!(text.ends_with("192.0.2.1 GET /a\"b 200 3.0ms - r\n"), "{text}");
        assert_eq!(json["grpc_status"], serde_json::Value::Null);
    }

    #[test]
    fn a_line_of_a_grpc_call_says_its_status() {
        let line = Line {
            at: SystemTime::UNIX_EPOCH,
            client: "192.0.2.1".parse().unwrap(),
            method: "POST".into(),
            path: "/p.S/X".into(),
            request_id: "r".into(),
            trace_id: "t".into(),
        };
        let record = Record::for_tests(200).with_code(regatta_core::Code::Unavailable);
        let json: serde_json::Value =
            serde_json::from_str(&json(&line, &record, Duration::from_millis(3))).unwrap();
        assert_eq!((&json["status"], &json["grpc_status"]), (&200.into(), &"UNAVAILABLE".into()));
        let text = text(&line, &record, Duration::from_millis(3));
        assert!(text.ends_with("POST /p.S/X 200/UNAVAILABLE 3.0ms - r\n"), "{text}");
    }
}
