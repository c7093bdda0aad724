// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables for people, JSON for programs.

use crate::exit::{Failure, Result};
use anstream::AutoStream;
use anstyle::Style;
use serde::Serialize;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// How columns are separated.
const GAP: &str = "  ";
const HEADING: Style = Style::new().bold();

/// Where results go. Colours are removed where they do not belong.
pub(crate) struct Output {
    json: bool,
    /// One document a line.
    lines: bool,
    stream: AutoStream<io::Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            lines: false,
            stream: anstream::stdout(),
        }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// From here on, each JSON document is one line.
    pub(crate) fn line_by_line(&mut self) {
        self.lines = true;
    }

    /// Prints `document` as JSON, or calls `show` for people.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        document: &T,
        show: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if !self.json {
            return show(self);
        }
        let text = match self.lines {
            true => serde_json::to_string(document),
            false => serde_json::to_string_pretty(document),
        };
        let text = text.map_err(|error| Failure::of_output(&error.into()))?;
        // A stream that removes escape sequences would change the text.
        writeln!(io::stdout(), "{}", escaped(&text)).map_err(|error| Failure::of_output(&error))
    }

    fn print(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        self.stream
            .write_fmt(text)
            .and_then(|()| self.stream.flush())
            .map_err(|error| Failure::of_output(&error))
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.print(format_args!("{}\n", clean(text)))
    }

    /// Prints names and values below each other.
    pub(crate) fn list(&mut self, rows: &[(&str, String)]) -> Result<()> {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            let name = format!("{name}:");
            let value = clean(value);
            self.print(format_args!(
                "{HEADING}{name:<0$}{HEADING:#}{GAP}{value}\n",
                width + 1
            ))?;
        }
        Ok(())
    }

    /// Prints a table. Columns of numbers are aligned to the right.
    pub(crate) fn table<const N: usize>(
        &mut self,
        columns: [Column; N],
        rows: &[[String; N]],
    ) -> Result<()> {
        let rows: Vec<[String; N]> = rows
            .iter()
            .map(|row| row.each_ref().map(|cell| clean(cell)))
            .collect();
        let mut widths = columns.each_ref().map(|column| column.name.len());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heading = columns.each_ref().map(|column| column.name.to_owned());
        let heading = aligned(&columns, &widths, &heading);
        self.print(format_args!("{HEADING}{heading}{HEADING:#}\n"))?;
        for row in &rows {
            self.print(format_args!("{}\n", aligned(&columns, &widths, row)))?;
        }
        Ok(())
    }

    /// Begins a new screen, where there is one.
    pub(crate) fn new_screen(&mut self) -> Result<()> {
        if !self.json && io::stdout().is_terminal() {
            self.print(format_args!("\x1b[H\x1b[2J\x1b[3J"))?;
        }
        Ok(())
    }
}

/// A column of a table.
pub(crate) struct Column {
    name: &'static str,
    right: bool,
}

/// A column of words.
pub(crate) const fn words(name: &'static str) -> Column {
    Column { name, right: false }
}

/// A column of numbers.
pub(crate) const fn numbers(name: &'static str) -> Column {
    Column { name, right: true }
}

fn aligned(columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let cells: Vec<String> = columns
        .iter()
        .zip(widths)
        .zip(cells)
        .map(|((column, width), cell)| match column.right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        })
        .collect();
    cells.join(GAP).trim_end().to_owned()
}

/// JSON without the control characters that serde_json leaves as they are: U+009B is one that terminals
/// obey.
fn escaped(json: &str) -> String {
    json.chars().fold(String::new(), |mut text, c| {
        match c {
            '\u{7f}'..='\u{9f}' => text += &format!("\\u{:04x}", u32::from(c)),
            _ => text.push(c),
        }
        text
    })
}

/// Without control characters, which names of others may have.
pub(crate) fn clean(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let columns = [numbers("PID"), words("NAME")];
        let cells = ["7".to_owned(), "x".to_owned()];
        assert_eq!(aligned(&columns, &[4, 6], &cells), "   7  x");
    }

    #[test]
    fn names_of_others_do_not_control_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\n\u{9b}"), "a?[2Jb??");
        let json = serde_json::to_string("é\x1b\x7f\u{9b}2J").unwrap();
        assert_eq!(escaped(&json), r#""é\u001b\u007f\u009b2J""#);
        let name: String = serde_json::from_str(&escaped(&json)).unwrap();
        assert_eq!(name, "é\x1b\x7f\u{9b}2J");
    }
}
