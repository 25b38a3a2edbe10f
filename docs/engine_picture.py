"""Draws docs/_static/engine.svg from a real plan: `python docs/engine_picture.py`."""

import pathlib

import jax.numpy as jnp
import numpy as np

from qnat.quantum.circuits.circuit import Circuit, cnot, rotation
from qnat.quantum.engine import make_plan, window_matrices
from qnat.quantum.engine.lowering import Op, lower
from qnat.quantum.engine.windows import Window, merge_runs, pick_windows

N, K = 6, 3
CIRCUIT = Circuit(
    N,
    (*(rotation("Y", q) for q in range(N)), *(cnot(q, q + 1) for q in range(N - 1))),
    layers=2,
)
SHOWN = 2  # the window whose gather is drawn
ROWS = {1: "a", 6: "b"}  # its rows that are coloured

LEFT, STEP, TOP, PITCH = 62, 41, 44, 32  # of the circuit
CELL, GRIDS, ARRAYS = 18, (8, 232, 420, 608), 326  # of the arrays

STYLE = """<style>
.picture { --ink: var(--color-foreground-primary, #1b1f24); --soft: var(--color-foreground-secondary, #5a6169); }
.picture { --paper: var(--color-background-primary, #fff); }
.picture { --w0: #2f7fc1; --w1: #2c9c76; --w2: #d07c22; --a: #d07c22; --b: #8a63c9; }
.picture text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.picture text { fill: var(--ink); font-size: 13px; }
.picture .title { font-weight: 600; font-size: 15px; }
.picture .what, .picture .soft { fill: var(--soft); }
.picture .small { font-size: 12px; fill: var(--soft); }
.picture .mono { font: 12px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
.picture .number { font: 9.5px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
.picture .middle, .picture .number { text-anchor: middle; }
.picture .sign { font-size: 24px; text-anchor: middle; fill: var(--soft); }
.picture .wire { stroke: var(--soft); stroke-opacity: .6; }
.picture .gate { fill: var(--paper); stroke: var(--ink); stroke-width: 1.2; }
.picture .line { stroke: var(--ink); stroke-width: 1.4; fill: none; }
.picture .free { stroke-dasharray: 3 3; }
.picture .cell { fill: none; stroke: var(--soft); stroke-opacity: .35; stroke-width: .7; }
.picture .frame { fill: none; stroke: var(--soft); stroke-width: 1.2; }
.picture .way { fill: none; stroke-width: 1.6; }
</style>"""


def text(x: float, y: float, words: str, kind: str = "plain") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>'


def rectangle(x: float, y: float, width: float, height: float, kind: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {kind}/>'


def control(x: float, top: float, bottom: float, *, free: bool) -> list[str]:
    """A CNOT."""
    return [
        f'<path class="line{" free" * free}" d="M{x:g} {top:g} V{bottom + 8:g}"/>',
        f'<circle cx="{x:g}" cy="{top:g}" r="3.6" style="fill:var(--ink)"/>',
        f'<circle class="line{" free" * free}" cx="{x:g}" cy="{bottom:g}" r="8"/>',
        f'<path class="line" d="M{x - 8:g} {bottom:g} H{x + 8:g}"/>',
    ]


def placed() -> list[tuple[Op, int]]:
    """The operations of the circuit, each in the first column where it can stand."""
    ends, found = [0] * N, []
    for op in lower(CIRCUIT):
        column = max(ends[wire] for wire in op.wires)
        for wire in op.wires:
            ends[wire] = column + 1
        found.append((op, column))
    return found


def homes(windows: list[Window], gates: list[tuple[Op, int]]) -> list[int]:
    """The window of every gate, −1 outside; windows hold equal gates of two layers in the order of the circuit."""
    queues: dict[tuple, list[int]] = {}
    for t, window in enumerate(windows):
        for number, items in ((-1, window.before), (t, window.items)):
            for op in (op for item in items for op in item.ops):
                queues.setdefault((op.wires, op.angle), []).append(number)
    return [queues[op.wires, op.angle].pop(0) for op, _ in gates]


def shade(spans: dict[int, tuple[int, int]], colour: str) -> list[str]:
    """A window: on every wire from its first to its last column, joined where neighbouring wires overlap."""

    def area(wire: int, wires: int, columns: tuple[int, int]) -> str:
        x, y = LEFT + STEP * (columns[0] - 0.5) + 5, TOP + PITCH * (wire - 0.5) + 5
        return rectangle(x, y, STEP * (columns[1] - columns[0] + 1) - 10, PITCH * wires - 10)

    parts = [f'<g opacity=".25" style="fill:{colour};stroke:{colour};stroke-width:8;stroke-linejoin:round">']
    for wire, own in spans.items():
        parts.append(area(wire, 1, own))
        if wire + 1 in spans:
            below = spans[wire + 1]
            parts.append(area(wire, 2, (max(own[0], below[0]), min(own[1], below[1]))))
    return [*parts, "</g>"]


def circuit() -> list[str]:
    """The circuit on the shades of its windows, and what they hold."""
    windows, _ = pick_windows(N, merge_runs(lower(CIRCUIT)), K)
    gates = placed()
    spans: list[dict[int, tuple[int, int]]] = [{} for _ in windows]
    drawn, held = [], [0] * (len(windows) + 1)
    for (op, column), t in zip(gates, homes(windows, gates), strict=True):
        held[t] += 1
        x, ys = LEFT + STEP * column, [TOP + PITCH * wire for wire in op.wires]
        for wire in op.wires if t >= 0 else ():
            low, high = spans[t].get(wire, (column, column))
            spans[t][wire] = min(low, column), max(high, column)
        if len(ys) == 1:
            drawn.append(rectangle(x - 13, ys[0] - 10, 26, 20, 'rx="3" class="gate"'))
            drawn.append(text(x, ys[0] + 4.5, "RY", "middle"))
        else:
            drawn += control(x, *ys, free=t < 0)
    shades = [part for t, own in enumerate(spans) for part in shade(own, f"var(--w{t})")]
    end = LEFT + STEP * (max(column for _, column in gates) + 0.5)
    wires = [f'<path class="wire" d="M{LEFT - 26} {TOP + PITCH * q} H{end:g}"/>' for q in range(N)]
    names = [text(8, TOP + PITCH * q + 4.5, str(q), "soft mono") for q in range(N)]
    x, y = end + 36, TOP + 6
    legend = [text(x, y, f"{len(gates)} gates, {len(windows)} windows", "title")]
    for t, window in enumerate(windows):
        y += 34
        legend.append(rectangle(x, y - 13, 18, 18, f'rx="4" style="fill:var(--w{t})" opacity=".45"'))
        on = ", ".join(map(str, sorted(window.wires)))
        legend.append(text(x + 28, y, f"window {t + 1}: {held[t]} gates on wires {on}"))
    y += 34
    legend += [
        *control(x + 9, y - 12, y + 6, free=True),
        text(x + 28, y, f"{held[-1]} CNOTs outside: no pass of their own,"),
    ]
    legend.append(text(x + 28, y + 18, "only the order of amplitudes changes"))
    return [*shades, *wires, *names, *drawn, *legend]


def grid(
    x: int,
    shades: dict[tuple[int, int], tuple[str, float]],
    numbers: np.ndarray | None = None,
) -> list[str]:
    """Eight by eight cells."""
    size = 2**K * CELL
    parts = [
        rectangle(
            x + CELL * j,
            ARRAYS + CELL * i,
            CELL,
            CELL,
            f'style="fill:var(--{colour})" opacity="{opacity:.2f}"',
        )
        for (i, j), (colour, opacity) in shades.items()
    ]
    lines = [f"M{x + CELL * i} {ARRAYS} v{size} M{x} {ARRAYS + CELL * i} h{size}" for i in range(1, 2**K)]
    parts += [
        f'<path class="cell" d="{" ".join(lines)}"/>',
        rectangle(x, ARRAYS, size, size, 'rx="2" class="frame"'),
    ]
    if numbers is not None:
        parts += [
            text(
                x + CELL * (j + 0.5),
                ARRAYS + CELL * (i + 0.5) + 3.5,
                str(number),
                "number",
            )
            for (i, j), number in np.ndenumerate(numbers)
        ]
    return parts


def arrays() -> list[str]:
    """One window: the state, gathered, times W."""
    plan = make_plan(CIRCUIT, K)
    high, low = plan.inner.high[SHOWN], plan.inner.low[SHOWN]
    index = high[:, None] ^ low
    w = np.asarray(window_matrices(plan, jnp.linspace(0.3, 2.4, CIRCUIT.num_angles))[SHOWN])
    before, gathered, matrix, after = GRIDS
    taken = {divmod(int(index[i, j]), 8): (colour, 0.5) for i, colour in ROWS.items() for j in range(8)}
    rows = {(i, j): (colour, 0.5) for i, colour in ROWS.items() for j in range(8)}
    parts = [
        *grid(before, taken, np.arange(64).reshape(8, 8)),
        *grid(gathered, rows, index),
        *grid(
            matrix,
            {(i, j): ("ink", 0.06 + 0.7 * abs(w[i, j])) for i in range(8) for j in range(8)},
        ),
        *grid(after, rows),
    ]
    for i, colour in ROWS.items():
        end, tip = ARRAYS + CELL * (i + 0.5), gathered - 30
        for row in sorted({int(v) // 8 for v in index[i]}):
            x, y = before + 2**K * CELL + 2, ARRAYS + CELL * (row + 0.5)
            way = f"M{x} {y:g} C{x + 28} {y:g} {tip - 30} {end:g} {tip - 6} {end:g}"
            parts.append(f'<path class="way" style="stroke:var(--{colour})" d="{way}"/>')
        parts.append(f'<path style="fill:var(--{colour})" d="M{tip - 8} {end - 4.5:g} l8 4.5 l-8 4.5 z"/>')
    parts += [text(gathered - 11, ARRAYS + CELL * (i + 0.5) + 3.5, str(v), "number soft") for i, v in enumerate(high)]
    parts += [text(gathered + CELL * (j + 0.5), ARRAYS - 6, str(v), "number soft") for j, v in enumerate(low)]
    parts.append(text(gathered - 11, ARRAYS - 6, "⊕", "middle soft"))
    parts.append(text(gathered - 11, ARRAYS - 22, "high", "middle small"))
    parts.append(text(gathered + 2**K * CELL / 2, ARRAYS - 22, "low", "middle small"))
    side, middle = 2**K * CELL, ARRAYS + 2**K * CELL / 2 + 8
    parts += [
        text((gathered + side + matrix) / 2, middle, "×", "sign"),
        text((matrix + side + after) / 2, middle, "=", "sign"),
    ]
    parts.append(text(8, ARRAYS - 46, f"Window {SHOWN + 1} in memory: one gather, one product", "title"))
    captions = [
        ("before", "64 real numbers,", "row after row"),
        ("gathered", "each from place", "high ⊕ low"),
        ("W", "real, orthogonal,", "made from the angles"),
        ("after", "every row multiplied", "from the right by W"),
    ]
    for x, lines in zip(GRIDS, captions, strict=True):
        for i, words in enumerate(lines):
            y = ARRAYS + side + 22 + 17 * i
            parts.append(text(x + side / 2, y, words, "middle" if i == 0 else "middle what"))
    return parts


ALT = (
    "Above, a circuit of six wires with two layers of RY gates and CNOT ladders, shaded into three windows of three "
    "wires that reach across the layers; two CNOTs lie outside. Below, the state as eight rows of eight numbers: a "
    "gather brings the right numbers into each row, then every row is multiplied by the matrix W of the window."
)

if __name__ == "__main__":
    size = 'viewBox="0 0 760 536"'
    head = f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{ALT}">'
    title = text(8, 18, "A circuit in windows of three wires", "title")
    svg = "\n".join([head, STYLE, title, *circuit(), *arrays(), "</svg>", ""])
    (pathlib.Path(__file__).parent / "_static" / "engine.svg").write_text(svg)
