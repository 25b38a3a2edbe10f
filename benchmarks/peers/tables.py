"""The measured rows as markdown."""

import statistics
from typing import Any

from .rows import GROUPS, Row

QUIET = 0.95  # CPU / wall of a single thread that nothing disturbs


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f}"


def spread(values: dict[str, float], scale: float = 1.0) -> str:
    """Median [least–most]."""
    return f"{number(scale * values['median'])} [{number(scale * values['min'])}–{number(scale * values['max'])}]"


def goal(row: Row, label: str, value: float) -> str:
    """The goal and whether it was reached."""
    if label not in row.goals:
        return ""
    wanted = row.goals[label]
    reached = value <= wanted if row.at_most else value >= wanted
    return f"{'≤' if row.at_most else '≥'} {wanted:g}: {'met' if reached else '**missed**'}"


def _over_cases(result: dict[str, Any], label: str, clock: str) -> dict[str, float]:
    found = [case["sides"][label][clock] for case in result["cases"]]
    return {
        "median": statistics.median(value["median"] for value in found),
        "min": min(value["min"] for value in found),
        "max": max(value["max"] for value in found),
    }


def _busy(result: dict[str, Any], label: str) -> str:
    return number(statistics.median(case["sides"][label]["busy"] for case in result["cases"]))


def disturbed(row: Row, result: dict[str, Any]) -> str:
    """A remark where wall time counts and a side with one thread did not have its core to itself."""
    one = [case["sides"][side.label]["busy"] for case in result["cases"] for side in row.sides if side.threads == 1]
    return " (disturbed)" if row.clock == "wall" and min(one) < QUIET else ""


def _speed_lines(row: Row, result: dict[str, Any]) -> list[str]:
    first, lines, title = row.sides[0].label, [], row.title
    ours = spread(_over_cases(result, first, row.clock), 1e3)
    for side in row.sides[1:]:
        theirs = spread(_over_cases(result, side.label, row.clock), 1e3)
        ratio = result["ratios"][side.label]
        seconds = [
            number(max(case["sides"][label]["first_call"]["cpu"] for case in result["cases"]))
            for label in (first, side.label)
        ]
        busy = f"{_busy(result, first)} / {_busy(result, side.label)}"
        cells = [title, ours, side.label, theirs, f"**{number(ratio['median'])}** [{number(ratio['min'])}–"]
        cells[-1] += f"{number(ratio['max'])}]{disturbed(row, result)}"
        cells += [goal(row, side.label, ratio["median"]), " / ".join(seconds), busy]
        lines.append("| " + " | ".join(cells) + " |")
        title = ours = ""
    return lines


def _failed_line(row: Row, result: dict[str, Any], columns: int) -> str:
    reason = result["failed"].splitlines()[0].replace("|", "/")
    return f"| {row.title} | **not measured**: {reason} |" + " |" * (columns - 2)


SPEED_HEAD = ("row", "qnat, ms", "peer", "peer, ms", "ratio", "goal", "first call, s", "CPU / wall")
COMPILE_HEAD = ("row", "compile CPU, s", "wall, s", "goal", "temporary memory, states", "peak memory over import, MiB")


def _compile_line(row: Row, result: dict[str, Any]) -> str:
    case = result["cases"][0]
    states = "–" if case["temp_states"] is None else number(case["temp_states"])
    cells = [row.title, spread(case["cpu"]), number(case["wall"]["median"]), goal(row, "qnat", case["cpu"]["median"])]
    return "| " + " | ".join([*cells, states, number(case["peak_mib"] - case["base_mib"])]) + " |"


def _group_lines(rows: list[Row], results: dict[str, Any]) -> list[str]:
    head = COMPILE_HEAD if rows[0].kind == "compile" else SPEED_HEAD
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        result = results[row.name]
        if "failed" in result:
            lines.append(_failed_line(row, result, len(head)))
        elif row.kind == "compile":
            lines.append(_compile_line(row, result))
        else:
            lines += _speed_lines(row, result)
    return lines


def settings_line(document: dict[str, Any]) -> str:
    """Where and how it was measured, in one paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(document["versions"].items()))
    allocator = ", ".join(f"{name}={value}" for name, value in document["allocator"].items()) or "the system's defaults"
    machine = document["machine"]
    return (
        f"Made by `python benchmarks/engine.py` on {document['date']} with {machine['processor']}, "
        f"{machine['cores']} cores, transparent huge pages {machine['huge_pages']}, allocator settings: {allocator}. "
        f"Versions: {versions}."
    )


def page(rows: list[Row], document: dict[str, Any]) -> str:
    """All tables; rows that were never measured are left out."""
    results, lines = document["rows"], []
    for group, title in GROUPS.items():
        members = [row for row in rows if row.group == group and row.name in results]
        if members:
            lines += [f"### {title}", "", *_group_lines(members, results), ""]
    return "\n".join([*lines, settings_line(document), ""])
