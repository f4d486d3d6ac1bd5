"""The defaults in the tables of charts/herald/README.md: chart-defaults.py VALUES README.

readme-generator prints `[]` and `{}` for whatever `@param` calls an array or an object. This writes what values.yaml has
in their place, and fails if any default in the tables is not the one of values.yaml.
"""

import json
import re
import sys

import yaml

ROW = re.compile(r"^\| (`[\w.]+`) +\| (.*?) +\| `(.*)` +\|$")


def default(values, name):
    for key in name.split("."):
        values = values[key]
    return values


def cells(line, values):
    """Name, description and default of a table's row, or None if it is none."""
    row = ROW.match(line)
    if not row:
        return None
    name, description, shown = row.groups()
    value = default(values, name.strip("`"))
    if shown in ("[]", "{}") and value:
        shown = json.dumps(value)
    if yaml.safe_load(shown) != value:
        sys.exit(f"{name}: the README has {shown}, values.yaml has {value!r}")
    return [name, description, f"`{shown}`"]


def table(lines, values):
    rows = [cells(line, values) for line in lines[2:]]
    if lines[0].split() != ["|", "Name", "|", "Description", "|", "Value", "|"] or None in rows:
        return lines, 0
    rows.insert(0, ["Name", "Description", "Value"])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    rows.insert(1, ["-" * width for width in widths])
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows], len(rows) - 2


def main(values_path, readme_path):
    with open(values_path, encoding="utf-8") as file:
        values = yaml.safe_load(file)
    with open(readme_path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    written, block, count = [], [], 0
    for line in [*lines, ""]:
        if line.startswith("|"):
            block.append(line)
            continue
        if block:
            block, rows = table(block, values)
            written += block
            count += rows
            block = []
        written.append(line)
    if count < 50:
        sys.exit(f"found only {count} defaults in {readme_path}")
    with open(readme_path, "w", encoding="utf-8", newline="") as file:
        file.write("\n".join(written[:-1]))


main(*sys.argv[1:])
