//! Headings, paragraphs, lists, tables and bars for a page of a given width.
//!
//! Text from agents and statements passes through [`visible`], so that it cannot drive a terminal.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Width where standard output is no terminal, in columns.
const WIDTH_DEFAULT: u16 = 80;
/// Narrowest and widest page: below, tables fall apart; above, lines are hard to follow.
const WIDTH_MIN: u16 = 50;
const WIDTH_MAX: u16 = 110;
/// Shortest and longest bar, in columns; there is none where a shorter one would fit.
const BAR_LEN_MIN: usize = 6;
const BAR_LEN_MAX: usize = 30;
/// Empty columns between two columns of a table.
const GAP: u16 = 2;
/// A rule below the header and no other line.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
/// Eighths of a column, from empty to full.
const EIGHTHS: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

const BAR: Style = coloured(AnsiColor::Cyan);
const HEADING: Style = coloured(AnsiColor::Blue).bold();
const WARNING: Style = coloured(AnsiColor::Yellow).bold();

const fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(clap::builder::styling::Color::Ansi(colour)))
}

/// A page that text is laid out on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    width: usize,
}

impl Page {
    /// As wide as the terminal, within reason.
    pub(crate) fn of_stdout() -> Self {
        Self::of_width(Table::new().width().unwrap_or(WIDTH_DEFAULT))
    }

    fn of_width(columns: u16) -> Self {
        Self { width: usize::from(columns.clamp(WIDTH_MIN, WIDTH_MAX)) }
    }

    /// How many columns it has.
    pub(crate) fn columns(self) -> usize {
        self.width
    }

    /// A heading with an empty line above it.
    pub(crate) fn heading(self, text: &str) -> String {
        format!("\n{}", self.paragraph(HEADING, text))
    }

    /// A heading over what is missing.
    pub(crate) fn warning(self, text: &str) -> String {
        format!("\n{}", self.paragraph(WARNING, text))
    }

    /// Text broken between words.
    pub(crate) fn paragraph(self, style: Style, text: &str) -> String {
        self.lines("", "", style, text)
    }

    /// An entry of a list.
    pub(crate) fn item(self, text: &str) -> String {
        self.lines("• ", "  ", Style::new(), text)
    }

    /// What belongs to the entry above.
    pub(crate) fn under_item(self, style: Style, text: &str) -> String {
        self.lines("  ", "  ", style, text)
    }

    fn lines(self, first: &str, further: &str, style: Style, text: &str) -> String {
        let room = self.width - first.chars().count();
        let mut drawn = String::new();
        let mut margin = first;
        for line in wrap(&visible(text), room) {
            // Writing to a string cannot fail.
            let _ = writeln!(drawn, "{margin}{style}{line}{style:#}");
            margin = further;
        }
        drawn
    }

    /// A table with figures to the right and, where there is room, a bar for each row.
    pub(crate) fn table(self, columns: &[String], rows: &[Vec<String>], bars: &[i64]) -> String {
        let mut table = framed(columns, rows);
        let widths = table.column_max_content_widths();
        let taken: usize = widths.iter().map(|width| usize::from(*width + GAP)).sum();
        let room = self.width.saturating_sub(taken).min(BAR_LEN_MAX);
        if bars.len() == rows.len() && !bars.is_empty() && room >= BAR_LEN_MIN {
            let mut wider = columns.to_vec();
            wider.push(String::new());
            let longest = bars.iter().map(|bar| bar.unsigned_abs()).max().unwrap_or(0);
            let drawn = rows.iter().zip(bars).map(|(row, value)| {
                let mut row = row.clone();
                row.push(bar(value.unsigned_abs(), longest, room));
                row
            });
            table = framed(&wider, &drawn.collect::<Vec<_>>());
        }
        table.set_width(u16::try_from(self.width).unwrap_or(WIDTH_DEFAULT));
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(&with_coloured_bar(line.trim_end()));
            text.push('\n');
        }
        text
    }
}

fn framed(columns: &[String], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let is_figures = |column: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells.clone().next().is_some() && cells.all(|cell| is_figure(cell))
    };
    let right: Vec<bool> = (0..columns.len()).map(is_figures).collect();
    let cells = |row: &[String]| -> Vec<Cell> {
        let cell = |(column, text): (usize, &String)| {
            let cell = Cell::new_owned(visible(text));
            if right.get(column) == Some(&true) {
                return cell.set_alignment(CellAlignment::Right);
            }
            cell
        };
        row.iter().enumerate().map(cell).collect()
    };
    table.set_header(cells(columns));
    for row in rows {
        table.add_row(cells(row));
    }
    let last = columns.len().saturating_sub(1);
    for column in table.column_iter_mut() {
        let gap = if column.index == last { 0 } else { GAP };
        column.set_padding((0, gap));
    }
    table
}

/// Whether a cell holds a number, an amount of money or a percentage rather than words or a date.
fn is_figure(cell: &str) -> bool {
    let signs = cell.chars().filter(|c| *c == '-').count();
    let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
    // Three letters are a currency without a sign of its own.
    cell.chars().any(|c| c.is_ascii_digit()) && signs <= 1 && letters <= 3 && !cell.contains(':')
}

/// A bar of at most `room` columns, to an eighth of a column; what is not nothing is seen.
fn bar(value: u64, longest: u64, room: usize) -> String {
    if value == 0 || longest == 0 {
        return String::new();
    }
    let eighths = u128::from(value) * room as u128 * 8 / u128::from(longest);
    let eighths = usize::try_from(eighths).unwrap_or(usize::MAX).clamp(1, room * 8);
    EIGHTHS[8].repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// The line with the bar at its end, if there is one, in colour.
fn with_coloured_bar(line: &str) -> String {
    let is_bar = |c: char| ('▉'..='▏').contains(&c) || c == '█';
    match line.find(is_bar) {
        Some(start) => format!("{}{BAR}{}{BAR:#}", &line[..start], &line[start..]),
        None => line.to_owned(),
    }
}

/// Lines of at most `room` characters, broken between words; a longer word stands alone.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_len = word.chars().count();
        match lines.last_mut() {
            Some(line) if length + 1 + word_len <= room => {
                line.push(' ');
                line.push_str(word);
                length += 1 + word_len;
            }
            _ => {
                lines.push(word.to_owned());
                length = word_len;
            }
        }
    }
    lines
}

/// The text with spaces for what would drive a terminal: control characters and those that turn
/// the direction of writing.
pub(crate) fn visible(text: &str) -> String {
    let turns = |c: char| {
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    fn without_style(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn figures_stand_to_the_right_and_bars_are_in_proportion() {
        let rows = [cells(["Food", "₹1,200.00"]), cells(["Rent", "₹300.00"])];
        let columns = cells(["Category", "Spent"]);
        let text = Page::of_width(80).table(&columns, &rows, &[120_000, 30_000]);
        let lines: Vec<String> = without_style(&text).lines().map(str::to_owned).collect();
        let (food, rent) = (&lines[2], &lines[3]);
        assert!(food.ends_with(&"█".repeat(30)) && !food.ends_with(&"█".repeat(31)), "{food}");
        assert!(rent.ends_with("███████▌") && rent.contains("  ₹300.00"), "{rent}");
    }

    #[test]
    fn nothing_is_wider_than_the_page() {
        let long = "word ".repeat(60);
        let rows = [cells(["1", &long, "₹1.00"]), cells(["2", "x", "₹22,22,222.00"])];
        for width in [0, 50, 80, 81, 109, 400] {
            let page = Page::of_width(width);
            let bars = [1, i64::MIN];
            let text = page.table(&cells(["Line", "Description", "Amount"]), &rows, &bars)
                + &page.item(&long)
                + &page.heading(&long);
            let widest = without_style(&text).lines().map(|line| line.chars().count()).max();
            assert!(widest.unwrap() <= page.width, "{width}: {widest:?}\n{text}");
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_invisible() {
        for (value, longest, drawn) in
            [(0, 10, ""), (1, 1_000_000, "▏"), (5, 10, "██"), (10, 10, "████"), (3, 0, "")]
        {
            assert_eq!(bar(value, longest, 4), drawn, "{value} of {longest}");
        }
        assert_eq!(bar(u64::MAX, u64::MAX, 4), "████");
    }

    #[test]
    fn figures_are_told_from_words_and_dates() {
        for cell in ["12", "-₹1,23,456.00", "+12.5 %", "KWD 1.234", "$3"] {
            assert!(is_figure(cell), "{cell}");
        }
        for cell in ["", "2025-12-01", "December 2025", "Swiggy", "food:delivery"] {
            assert!(!is_figure(cell), "{cell}");
        }
    }

    #[test]
    fn what_drives_a_terminal_is_not_printed() {
        assert_eq!(visible("a\u{1b}[31mb\nc\u{202e}d"), "a [31mb c d");
        let rows = [cells(["\u{1b}]0;title\u{7}", "a\r\nb"])];
        let text = Page::of_width(80).table(&cells(["x", "y"]), &rows, &[]);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r']), "{text:?}");
    }
}
