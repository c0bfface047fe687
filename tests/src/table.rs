//! A table that `tympan viz --csv` has written, read again.

use anyhow::{Context, Result, ensure};
use std::path::Path;

/// A table: its header, and its rows as texts.
#[derive(Debug)]
pub struct Table {
    header: Vec<String>,
    /// Each with as many cells as the header has.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no such table.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let header = lines.next().context("a header")?;
        let rows: Vec<_> = lines.collect();
        ensure!(rows.iter().all(|row| row.len() == header.len()), "rows of different lengths");
        Ok(Self { header, rows })
    }

    /// Where a column is.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.header.iter().position(|own| own == name).with_context(|| format!("no column {name}: {:?}", self.header))
    }

    /// The columns of the levels, and their frequencies.
    #[must_use]
    pub fn bins(&self) -> Vec<(usize, f64)> {
        let hz = |name: &str| name.strip_prefix("dbfs_")?.strip_suffix("hz")?.parse().ok();
        self.header.iter().enumerate().filter_map(|(n, name)| Some((n, hz(name)?))).collect()
    }

    /// The frequency and level of a row's loudest bin.
    ///
    /// # Errors
    /// When a level is no number.
    pub fn loudest(&self, row: &[String]) -> Result<(f64, f64)> {
        let mut best = (0.0, f64::NEG_INFINITY);
        for (column, hz) in self.bins() {
            let level: f64 = row[column].parse()?;
            if level > best.1 {
                best = (hz, level);
            }
        }
        Ok(best)
    }
}
