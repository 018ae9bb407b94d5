//! Files as text, and places in them.

use std::ops::Range;

/// A file of the application.
#[derive(Clone, Debug)]
pub struct SourceFile {
    path: String,
    text: String,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// A file by its path relative to the application's folder.
    #[must_use]
    pub fn new(path: String, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| at + 1),
            )
            .collect();
        Self {
            path,
            text,
            line_starts,
        }
    }

    /// Path in the application's folder, with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of some lines, both counted from 1.
    pub(crate) fn lines(&self, first: usize, last: usize) -> Range<usize> {
        let start = self.line_starts.get(first - 1).copied().unwrap_or_default();
        let end = self
            .line_starts
            .get(last)
            .copied()
            .unwrap_or(self.text.len());
        start..end
    }

    /// Line and column of a byte offset.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = self.line_starts[line - 1];
        let before = self
            .text
            .get(start..offset.min(self.text.len()))
            .unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }
}

/// A place for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

/// A piece of a file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    file: u32,
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes of a range in the file at this position of [`super::Diagnostics::files`]. Files are limited
    /// to far less than 4 GiB when they are read.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "files are limited to a few megabytes"
    )]
    pub fn new(file: usize, range: Range<usize>) -> Self {
        Self {
            file: file as u32,
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    /// Position in [`super::Diagnostics::files`].
    #[must_use]
    pub fn file(self) -> usize {
        self.file as usize
    }

    /// First byte.
    #[must_use]
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// Byte after the last.
    #[must_use]
    pub fn end(self) -> usize {
        self.end as usize
    }

    /// As a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start()..self.end()
    }
}
