// SPDX-License-Identifier: GPL-2.0
//! Draws what operations on a task's value cost against the number of maps in which
//! the task has values: DATA.csv, which `scripts/figures` measures, as an SVG.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Draw the cost of operations against the number of maps.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Lines of "owner,operation,maps,instructions" below a headline
    data: PathBuf,
    /// The SVG file to write
    chart: PathBuf,
}

/// The kind of owners whose lines are drawn: all kinds look alike.
const OWNER: &str = "task";

const SIZE: (u32, u32) = (720, 360);
const COLORS: [RGBColor; 3] = [
    RGBColor(0, 90, 181),
    RGBColor(0, 140, 90),
    RGBColor(190, 60, 20),
];

/// An operation, and its instructions by number of maps.
#[derive(Debug, PartialEq)]
struct Series {
    operation: String,
    points: Vec<(f64, f64)>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let data = fs::read_to_string(&args.data)
        .with_context(|| format!("cannot read {}", args.data.display()))?;
    let series = parse(&data).with_context(|| args.data.display().to_string())?;
    fs::write(&args.chart, svg(&series)?)
        .with_context(|| format!("cannot write {}", args.chart.display()))
}

/// Reads the lines of [`OWNER`].
fn parse(data: &str) -> Result<Vec<Series>> {
    let mut all: Vec<Series> = Vec::new();
    for line in data.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        let [owner, operation, maps, instructions] = fields[..] else {
            anyhow::bail!("not four fields: {line}");
        };
        if owner != OWNER {
            continue;
        }
        let number = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|number| *number >= 1.0);
            number.with_context(|| format!("no number above 0: {line}"))
        };
        let point = (number(maps)?, number(instructions)?);
        match all.iter_mut().find(|one| one.operation == operation) {
            Some(series) => series.points.push(point),
            None => all.push(Series {
                operation: operation.to_owned(),
                points: vec![point],
            }),
        }
    }
    ensure!(!all.is_empty(), "no line of a {OWNER}");
    Ok(all)
}

/// The text of the SVG file.
fn svg(series: &[Series]) -> Result<String> {
    let mut svg = String::from("<!-- SPDX-License-Identifier: GPL-2.0 -->\n");
    let mut drawn = String::new();
    draw(series, SVGBackend::with_string(&mut drawn, SIZE))?;
    svg.push_str(&drawn);
    Ok(svg)
}

/// Both axes are logarithmic. The name of an operation stands above its line.
fn draw(series: &[Series], backend: SVGBackend<'_>) -> Result<()> {
    let points = || series.iter().flat_map(|one| &one.points);
    let most_maps = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(1.0, f64::max);
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let mut maps: Vec<_> = points().map(|point| point.0).collect();
    maps.sort_by(f64::total_cmp);
    maps.dedup();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (1.0..most_maps * 1.1).log_scale().with_key_points(maps),
            (1.0..most * 3.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("maps in which the task has a value")
        .y_desc("instructions")
        .x_label_formatter(&|maps| format!("{maps:.0}"))
        .y_label_formatter(&|instructions| format!("{instructions:.0}"))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (one, color) in series.iter().zip(COLORS.iter().cycle()) {
        chart.draw_series(LineSeries::new(
            one.points.iter().copied(),
            color.stroke_width(2),
        ))?;
        let dots = one.points.iter();
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, color.filled())))?;
        let Some((first, last)) = one.points.first().zip(one.points.last()) else {
            continue;
        };
        let mut text = format!("{}: {}", one.operation, first.1);
        if last.1 != first.1 {
            text.push_str(&format!(" to {}", last.1));
        }
        let style = ("sans-serif", 14)
            .into_font()
            .color(color)
            .pos(Pos::new(HPos::Left, VPos::Bottom));
        let above = (first.0 * 1.1, first.1 * 1.1);
        chart.draw_series([Text::new(text, above, style)])?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = "owner,operation,maps,instructions\n\
        task,get,1,25\ncgroup,get,1,32\ntask,get,4,26\ntask,create,1,811\n";

    #[test]
    fn lines_become_series() {
        let series = parse(DATA).unwrap();
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].points, [(1.0, 25.0), (4.0, 26.0)]);
        assert_eq!(series[1].operation, "create");
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for line in [
            "task,get,1",
            "task,get,0,25",
            "task,get,1,many",
            "cgroup,get,1,2",
        ] {
            assert!(parse(&format!("headline\n{line}\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn the_chart_names_each_operation() {
        let svg = svg(&parse(DATA).unwrap()).unwrap();
        assert!(svg.contains("get: 25 to 26") && svg.contains("create: 811\n"));
    }

    #[test]
    fn the_chart_of_the_project_is_of_its_data() {
        let data = include_str!("../../../Documentation/cost.csv");
        let chart = include_str!("../../../Documentation/cost.svg");
        assert!(svg(&parse(data).unwrap()).unwrap() == chart);
    }
}
