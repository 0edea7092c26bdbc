//! The tables, as Markdown.

use crate::bounds::{self, Bound};
use crate::contests;

pub(crate) fn contests(rows: &[contests::Row]) {
    println!("| job | against | ours | theirs | ratio | lowest to highest round | at least | |");
    println!("|---|---|---:|---:|---:|---:|---:|---|");
    for row in rows {
        let (low, high) = row.spread;
        let cells = match (row.theirs, row.ratio()) {
            (Some(theirs), Some(ratio)) => format!(
                "{} | {ratio:.2}x | {low:.2} to {high:.2} | {}x | {}",
                time(theirs),
                row.at_least,
                verdict(ratio >= row.at_least)
            ),
            _ => format!("not to be had | | | {}x | not measured", row.at_least),
        };
        println!(
            "| {} | {} | {} | {cells} |",
            row.job,
            row.against,
            time(row.ours)
        );
    }
}

pub(crate) fn bounds(rows: &[bounds::Row]) {
    println!("| cost | found | wanted | | in figures |");
    println!("|---|---:|---:|---|---|");
    for row in rows {
        let unit = match row.unit {
            "" | "x" => row.unit.to_owned(),
            unit => format!(" {unit}"),
        };
        let (wanted, verdict) = match row.bound {
            Bound::AtMost(most) => (format!("at most {most}{unit}"), verdict(row.found <= most)),
            Bound::AtLeast(least) => (
                format!("at least {least}{unit}"),
                verdict(row.found >= least),
            ),
            Bound::None => ("to be known".to_owned(), ""),
        };
        println!(
            "| {} | {:.2}{unit} | {wanted} | {verdict} | {} |",
            row.what, row.found, row.note
        );
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "**missed**" }
}

fn time(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}
