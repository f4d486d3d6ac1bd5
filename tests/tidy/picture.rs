//! Draws the table of floors as docs/images/floors.svg. Knows nothing of the code that the table is about.

use std::fmt::Write as _;

use crate::floors::Floor;

const WIDTH: usize = 880;
const FLOOR_HEIGHT: usize = 44;
const MARGIN: usize = 12;
/// Where the boxes begin, right of the floors' names.
const BOXES: usize = 270;
/// Of one letter of the boxes' monospaced font.
const LETTER: usize = 8;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2937}\
.module{font:13px ui-monospace,monospace}\
.floor{fill:#f3f4f6;stroke:#d1d5db}\
.box{fill:#e0e7ff;stroke:#6366f1}\
.note{fill:#6b7280}\
@media(prefers-color-scheme:dark){\
text{fill:#e5e7eb}\
.floor{fill:#1f2937;stroke:#4b5563}\
.box{fill:#312e81;stroke:#818cf8}\
.note{fill:#9ca3af}}";

/// The picture, the highest floor on top.
pub fn draw(floors: &[Floor]) -> String {
    let height = 2 * MARGIN + floors.len() * FLOOR_HEIGHT + 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"The floors of Herald's modules\">\n<style>{STYLE}</style>\n"
    );
    for (row, floor) in floors.iter().rev().enumerate() {
        let top = MARGIN + row * FLOOR_HEIGHT;
        let (middle, inner) = (top + 24, WIDTH - 2 * MARGIN);
        let _ = writeln!(
            svg,
            "<rect class=\"floor\" x=\"{MARGIN}\" y=\"{top}\" width=\"{inner}\" height=\"{}\" rx=\"6\"/>\n\
             <text x=\"{}\" y=\"{middle}\">{}</text>",
            FLOOR_HEIGHT - 6,
            2 * MARGIN,
            floor.name,
        );
        let mut left = BOXES;
        for module in floor.modules {
            let width = module.len() * LETTER + 16;
            let _ = writeln!(
                svg,
                "<rect class=\"box\" x=\"{left}\" y=\"{}\" width=\"{width}\" height=\"26\" rx=\"4\"/>\
                 <text class=\"module\" x=\"{}\" y=\"{middle}\" text-anchor=\"middle\">{module}</text>",
                top + 6,
                left + width / 2,
            );
            left += width + 8;
        }
        assert!(left < WIDTH, "`{}` does not fit into the picture", floor.name);
    }
    let _ = writeln!(
        svg,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"{}\">A module imports from the floors below it, and from its own floor where \
         that makes no circle.</text>\n</svg>",
        height - MARGIN,
    );
    svg
}
