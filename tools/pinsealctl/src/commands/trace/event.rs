// SPDX-License-Identifier: MIT OR Apache-2.0

//! A trace event, from the kernel's line to words.

use pinseal::{Outcome, SealFlags, Seals};
use serde::{Serialize, Serializer};
use std::{fmt, io, time::Duration};

/// An event.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Event {
    /// Seconds of CLOCK_MONOTONIC.
    time: f64,
    cpu: u32,
    pid: u32,
    command: String,
    event: String,
    pub(super) object: u64,
    #[serde(flatten, serialize_with = "as_map")]
    fields: Vec<(String, Value)>,
}

/// A field, decoded.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Names(Vec<&'static str>),
    /// Of an outcome.
    Word(String),
    /// Nanoseconds.
    Time(u64),
    None,
}

fn as_map<S: Serializer>(fields: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

/// The flags of pin handles, by bit.
const PIN_FLAGS: &[&str] = &["read-only", "leased", "mirror", "wait"];

impl Event {
    /// Reads a line of `trace_pipe`:
    ///
    /// ```text
    ///    COMMAND-PID     [CPU] FLAGS TIME: pinseal_EVENT: object=NUMBER FIELD=NUMBER ...
    /// ```
    ///
    /// A command may have any characters in its name, so the line is read from its end.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (head, body) = line.rsplit_once(": pinseal_")?;
        let (event, fields) = body.split_once(": ")?;
        let (head, time) = head.rsplit_once(' ')?;
        let (task, cpu) = head.rsplit_once(" [")?;
        let (cpu, _) = cpu.split_once(']')?;
        let (command, pid) = task.rsplit_once('-')?;

        let mut object = None;
        let mut decoded = Vec::new();
        for field in fields.split_whitespace() {
            let (name, text) = field.split_once('=')?;
            match name {
                "object" => object = Some(text.parse().ok()?),
                _ => decoded.push((name.to_owned(), Value::decode(event, name, text)?)),
            }
        }
        Some(Self {
            time: time.trim().parse().ok()?,
            cpu: cpu.trim().parse().ok()?,
            pid: pid.trim().parse().ok()?,
            command: command.trim().to_owned(),
            event: event.to_owned(),
            object: object?,
            fields: decoded,
        })
    }
}

/// Whether the kernel says that events were lost: "CPU:1 [LOST 12 EVENTS]".
pub(super) fn is_lost(line: &str) -> bool {
    line.starts_with("CPU:") && line.ends_with("EVENTS]")
}

impl Value {
    fn decode(event: &str, field: &str, text: &str) -> Option<Self> {
        // Of 64 bits, with a sign or without.
        let number: i128 = match text.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok()?,
            None => text.parse().ok()?,
        };
        Some(match field {
            "seals" => Self::Names(Seals::from_bits(number as u32).names().collect()),
            "flags" if event == "pin" => Self::Names(
                PIN_FLAGS
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| (number >> bit) & 1 == 1)
                    .map(|(_, name)| *name)
                    .collect(),
            ),
            "flags" => Self::Names(SealFlags::from_bits(number as u32).names().collect()),
            "outcome" if number < 0 => {
                Self::Word(io::Error::from_raw_os_error(-number as i32).to_string())
            }
            "outcome" => Self::Word(Outcome::from(number as u32).name().to_owned()),
            _ if number < 0 => Self::None,
            _ if field.ends_with("_ns") => Self::Time(number as u64),
            _ => Self::Number(number as u64),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Names(names) if names.is_empty() => f.write_str("-"),
            Self::Names(names) => f.write_str(&names.join(",")),
            Self::Word(word) => f.write_str(word),
            Self::Time(ns) => write!(f, "{:.3?}", Duration::from_nanos(*ns)),
            Self::None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = format!("{}-{}", self.command, self.pid);
        write!(
            f,
            "{:>12.6}  {task:<20}  object {:<5} {:<14}",
            self.time, self.object, self.event
        )?;
        for (name, value) in &self.fields {
            let name = match value {
                Value::Time(_) => name.trim_end_matches("_ns"),
                _ => name,
            };
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let shown = Event::parse(line).unwrap().to_string();
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn events_are_decoded() {
        assert_eq!(
            shown(
                "          sealer-123     [001] ..... 12.345678: pinseal_seal_begin: object=17 \
                 seals=0xe flags=0x5 timeout_ns=150000000"
            ),
            "12.345678 sealer-123 object 17 seal_begin seals=shrink,grow,write \
             flags=nowait,revoke timeout=150.000ms"
        );
        assert_eq!(
            shown(
                "  kworker/u8:1-45 [000] d..1. 1.000000: pinseal_seal_end: object=1 outcome=2 \
                 scans=3 waited_ns=1500 isolated_pages=0 revoked_pages=0"
            ),
            "1.000000 kworker/u8:1-45 object 1 seal_end outcome=pinned scans=3 waited=1.500µs \
             isolated_pages=0 revoked_pages=0"
        );
        assert_eq!(
            shown("x-1 [000] .... 1.0: pinseal_seal_scan: object=1 scans=1 first_pinned=-1"),
            "1.000000 x-1 object 1 seal_scan scans=1 first_pinned=-"
        );
        assert_eq!(
            shown("x-1 [000] .... 1.0: pinseal_pin: object=1 start=4 count=3 flags=0x3 grace_ns=0"),
            "1.000000 x-1 object 1 pin start=4 count=3 flags=read-only,leased grace=0.000ns"
        );
    }

    #[test]
    fn times_have_64_bits() {
        let shown =
            shown("x-1 [000] .... 1.0: pinseal_pin: object=1 grace_ns=18446744073709551615");
        assert!(shown.ends_with("grace=18446744073.710s"), "{shown}");
    }

    #[test]
    fn an_error_is_named() {
        let shown = shown("x-1 [000] .... 1.0: pinseal_seal_end: object=1 outcome=-1");
        assert!(shown.contains("Operation not permitted"), "{shown}");
    }

    #[test]
    fn commands_have_any_name() {
        let line = "a: b [9] c-1-77 [002] ..... 3.5: pinseal_isolate: object=4 pages=2";
        let event = Event::parse(line).unwrap();
        assert_eq!(
            (event.command.as_str(), event.pid, event.cpu),
            ("a: b [9] c-1", 77, 2)
        );
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in [
            "",
            "CPU:1 [LOST 12 EVENTS]",
            "x-1 [000] .... 1.0: sched_switch: a=1",
        ] {
            assert_eq!(Event::parse(line), None, "{line}");
            assert_eq!(is_lost(line), line.contains("LOST"), "{line}");
        }
    }

    #[test]
    fn documents_have_the_fields() {
        let line = "x-1 [000] .... 1.5: pinseal_seal_end: object=1 outcome=0 waited_ns=7";
        let json = serde_json::to_string(&Event::parse(line).unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"time":1.5,"cpu":0,"pid":1,"command":"x","event":"seal_end","object":1,"outcome":"sealed","waited_ns":7}"#
        );
    }
}
