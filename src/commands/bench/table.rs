//! Tables of figures: aligned for people, one object a row for scripts; and the command line that repeats them.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// What stands in a row and a column.
pub enum Cell {
    /// Words; columns of words are aligned at their left.
    Text(String),
    /// An exact number.
    Count(u64),
    /// A number shown with so many decimals.
    Real(f64, usize),
    /// A number that is not there.
    Missing,
}

impl Cell {
    fn shown(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Count(n) => n.to_string(),
            Cell::Real(x, decimals) => format!("{x:.decimals$}"),
            Cell::Missing => "-".to_string(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Count(n) => json!(n),
            Cell::Real(x, _) => json!(x),
            Cell::Missing => Value::Null,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_string())
    }
}

/// Columns with names, rows, and rows that end with the reason why there is no more.
pub struct Table {
    head: Vec<String>,
    rows: Vec<(Vec<Cell>, Option<String>)>,
}

impl Table {
    /// No rows yet.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Table {
        Table {
            head: head.into_iter().map(S::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: the cells that are known in any case, then the others or why there are none.
    pub fn push(&mut self, mut known: Vec<Cell>, found: Result<Vec<Cell>, String>) {
        match found {
            Ok(cells) => {
                known.extend(cells);
                self.rows.push((known, None));
            }
            Err(why) => self.rows.push((known, Some(why))),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let words = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|(row, _)| row.get(column));
            cells.all(|cell| matches!(cell, Cell::Text(_)))
        };
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|(row, _)| row.iter().map(Cell::shown).collect())
            .collect();
        let length = |text: &String| text.chars().count();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = shown.iter().filter_map(|row| row.get(column));
                let longest = cells.chain(self.head.get(column)).map(length).max();
                longest.unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        let mut line = |cells: &[String], rest: &str| {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                let width = widths[column];
                let _ = match words(column) {
                    true => write!(line, "{cell:<width$}  "),
                    false => write!(line, "{cell:>width$}  "),
                };
            }
            let _ = writeln!(out, "{}", (line + rest).trim_end());
        };
        line(&self.head, "");
        for (cells, (_, why)) in shown.iter().zip(&self.rows) {
            line(cells, why.as_deref().unwrap_or_default());
        }
        out
    }

    /// For scripts: null where there is no figure, and the reason under `refused`.
    pub fn json(&self) -> Value {
        let row = |(cells, why): &(Vec<Cell>, Option<String>)| {
            let known = cells.iter().map(Cell::json);
            let values = known.chain(std::iter::repeat(Value::Null));
            let mut row: Map<String, Value> = self.head.iter().cloned().zip(values).collect();
            if let Some(why) = why {
                row.insert("refused".to_string(), json!(why));
            }
            Value::Object(row)
        };
        self.rows.iter().map(row).collect()
    }
}

/// The command line of this run, as a shell takes it.
pub fn command() -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=.,:/+".contains(c);
    let quoted = |word: String| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    let words = std::env::args().skip(1).map(quoted);
    std::iter::once("tspc".to_string())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_at_their_right_and_a_refusal_ends_its_row() {
        let mut table = Table::new(["model", "S", "us"]);
        let known = |s: u64| vec![Cell::from("a model"), Cell::Count(s)];
        table.push(known(16), Ok(vec![Cell::Real(1.234, 1)]));
        table.push(known(128), Err("too wide".to_string()));
        table.push(known(7), Ok(vec![Cell::Missing]));
        assert_eq!(
            table.text(),
            "model      S   us\na model   16  1.2\na model  128  too wide\na model    7    -\n"
        );
        assert_eq!(
            table.json()[1],
            json!({"model": "a model", "S": 128, "us": null, "refused": "too wide"})
        );
    }
}
