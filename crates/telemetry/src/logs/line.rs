//! A log event as one line: JSON for machines, text for people.

use std::fmt;

use regatta_core::Context;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use crate::{Identity, clock};

/// Writes events as lines.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) is_json: bool,
    pub(super) identity: Identity,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = Line {
            at: clock::wall().into(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields: Fields::of(event),
            spans: spans(context),
            request: Context::current(),
        };
        if self.is_json {
            writeln!(writer, "{}", Value::Object(line.json(&self.identity)))
        } else {
            let has_colour = writer.has_ansi_escapes();
            line.text(&mut writer, has_colour)
        }
    }
}

fn spans<S, N>(context: &FmtContext<'_, S, N>) -> Vec<(&'static str, String)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let Some(scope) = context.event_scope() else { return Vec::new() };
    let fields = |span: tracing_subscriber::registry::SpanRef<'_, S>| {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<N>>();
        (span.name(), fields.map(|fields| fields.fields.clone()).unwrap_or_default())
    };
    scope.from_root().map(fields).collect()
}

/// One event with all that goes into its line.
#[derive(Debug)]
struct Line<'a> {
    at: OffsetDateTime,
    level: Level,
    target: &'a str,
    fields: Fields,
    spans: Vec<(&'static str, String)>,
    request: Option<std::sync::Arc<Context>>,
}

impl Line<'_> {
    fn json(self, identity: &Identity) -> Map<String, Value> {
        let mut line = Map::new();
        // An event's field never replaces one of ours.
        for (name, value) in self.fields.others {
            line.insert(name.to_owned(), value);
        }
        line.insert("timestamp".into(), self.at.format(&Rfc3339).unwrap_or_default().into());
        line.insert("level".into(), self.level.as_str().into());
        line.insert("target".into(), self.target.into());
        line.insert("message".into(), self.fields.message.into());
        line.insert("service".into(), identity.service.as_str().into());
        if !identity.version.is_empty() {
            line.insert("version".into(), identity.version.as_str().into());
        }
        if !identity.instance.is_empty() {
            line.insert("instance".into(), identity.instance.as_str().into());
        }
        if let Some(request) = &self.request {
            if let Some(trace) = &request.trace {
                line.insert("trace_id".into(), trace.trace_id_hex().into());
                line.insert("span_id".into(), format!("{:016x}", trace.span_id()).into());
            }
            if let Some(request_id) = &request.request_id {
                line.insert("request_id".into(), request_id.as_ref().into());
            }
        }
        if !self.spans.is_empty() {
            let spans = self.spans.into_iter().map(|(name, fields)| match fields.is_empty() {
                true => Value::from(name),
                false => Value::from(format!("{name}{{{fields}}}")),
            });
            line.insert("spans".into(), spans.collect());
        }
        line
    }

    fn text(self, writer: &mut dyn fmt::Write, has_colour: bool) -> fmt::Result {
        let (dim, plain) = if has_colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let colour = match self.level {
            _ if !has_colour => "",
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG => "\x1b[34m",
            Level::TRACE => "\x1b[35m",
        };
        let time = self.at.time();
        write!(
            writer,
            "{dim}{:02}:{:02}:{:02}.{:03}{plain} {colour}{:5}{plain} ",
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond(),
            self.level.as_str(),
        )?;
        for (name, fields) in &self.spans {
            match fields.is_empty() {
                true => write!(writer, "{name}: ")?,
                false => write!(writer, "{name}{{{}}}: ", Printable(fields))?,
            }
        }
        write!(writer, "{dim}{}:{plain} {}", self.target, Printable(&self.fields.message))?;
        for (name, value) in &self.fields.others {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            write!(writer, " {dim}{name}={plain}{}", Printable(&text))?;
        }
        if let Some(trace) = self.request.as_ref().and_then(|request| request.trace.as_ref()) {
            write!(writer, " {dim}trace_id={}{plain}", trace.trace_id_hex())?;
        }
        writeln!(writer)
    }
}

/// A text without control characters, so that no input can forge a line or drive a terminal.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_str("\\n"),
            c if c.is_control() => write!(f, "{}", c.escape_unicode()),
            c => fmt::Write::write_char(f, c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use regatta_core::TraceContext;
    use serde_json::json;

    use super::*;

    fn line() -> Line<'static> {
        let mut context = Context::default();
        context.trace = TraceContext::try_new(0xa, 0xb, true);
        context.request_id = Some("r-1".into());
        Line {
            at: OffsetDateTime::UNIX_EPOCH,
            level: Level::WARN,
            target: "orders",
            fields: Fields {
                message: "declined".into(),
                others: vec![("amount", 5.into()), ("level", "forged".into())],
            },
            spans: vec![("pay", "id=1".into())],
            request: Some(Arc::new(context)),
        }
    }

    #[test]
    fn json_names_the_request_and_the_service_and_no_field_forges_ours() {
        let identity = Identity::new("order-service").with_version("v1");
        assert_eq!(
            Value::Object(line().json(&identity)),
            json!({
                "timestamp": "1970-01-01T00:00:00Z", "level": "WARN", "target": "orders",
                "message": "declined", "amount": 5, "service": "order-service", "version": "v1",
                "trace_id": "0000000000000000000000000000000a", "span_id": "000000000000000b",
                "request_id": "r-1", "spans": ["pay{id=1}"],
            })
        );
    }

    #[test]
    fn text_is_one_line_without_colour_unless_asked() {
        let mut text = String::new();
        line().text(&mut text, false).unwrap();
        assert_eq!(
            text,
            "00:00:00.000 WARN  pay{id=1}: orders: declined amount=5 level=forged \
             trace_id=0000000000000000000000000000000a\n"
        );
        let mut coloured = String::new();
        line().text(&mut coloured, true).unwrap();
        assert!(coloured.contains("\x1b[33mWARN"), "{coloured}");
    }

    #[test]
    fn text_of_a_client_cannot_forge_a_line_or_drive_a_terminal() {
        let mut line = line();
        line.fields.message = "a\nERROR b \x1b[2J".into();
        let mut text = String::new();
        line.text(&mut text, false).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("a\\nERROR b \\u{1b}[2J"), "{text}");
    }
}
