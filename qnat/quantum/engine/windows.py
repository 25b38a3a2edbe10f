"""Which operations share a pass over the state: windows of k wires, picked across the layers of a circuit.

An operation may run as soon as everything that must come before it has. Two operations commute where, on every wire
they share, both commute with the same Pauli matrix: diagonal gates and controls pass each other freely.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .lowering import Op

CANDIDATES = 16  # first operations tried for every window, and for every phase:
FEW, NARROW = 4, 8  # windows of more wires than this are phases


class Item(NamedTuple):
    """Operations that stay together: a run on one wire, or one operation on two wires, or one affine map."""

    ops: tuple[Op, ...]
    wires: tuple[int, ...]
    axes: tuple[str, ...]

    @property
    def free(self) -> bool:
        """Whether it is an affine map of basis states."""
        return len(self.ops) == 1 and self.ops[0].kind.affine is not None


class Window(NamedTuple):
    """One pass: affine items that come before it, its wires, and its items in order."""

    before: tuple[Item, ...]
    wires: tuple[int, ...]
    items: tuple[Item, ...]


def merge_runs(ops: Iterable[Op]) -> list[Item]:
    """Neighbours on one wire become one item."""
    items: list[Item] = []
    open_run: dict[int, int] = {}
    for op in ops:
        if len(op.wires) == 1 and op.wires[0] in open_run:
            place = open_run[op.wires[0]]
            before = items[place]
            axis = before.axes[0] if before.axes == op.kind.axes else ""
            items[place] = Item((*before.ops, op), op.wires, (axis,))
            continue
        for wire in op.wires:
            open_run.pop(wire, None)
        if len(op.wires) == 1:
            open_run[op.wires[0]] = len(items)
        items.append(Item((op,), op.wires, op.kind.axes))
    return items


class _Frontier:
    """Where every wire stands: its items in groups of mutually commuting ones, and how far they are done."""

    def __init__(self, n: int, items: list[Item]) -> None:
        self.items = items
        self.groups: list[list[list[int]]] = [[] for _ in range(n)]
        self.group_of: list[dict[int, int]] = [{} for _ in range(n)]
        axis = [""] * n
        for index, item in enumerate(items):
            for wire, letter in zip(item.wires, item.axes, strict=True):
                if not (letter and letter == axis[wire] and self.groups[wire]):
                    self.groups[wire].append([])
                axis[wire] = letter
                self.groups[wire][-1].append(index)
                self.group_of[wire][index] = len(self.groups[wire]) - 1
        self.head = [0] * n
        self.left = [len(groups[0]) if groups else 0 for groups in self.groups]
        self.done: set[int] = set()  # items of present groups; those of past groups are forgotten, copies stay small
        self.count = 0

    def copy(self) -> "_Frontier":
        other = object.__new__(_Frontier)
        other.items, other.groups, other.group_of = self.items, self.groups, self.group_of
        other.head, other.left, other.done = self.head.copy(), self.left.copy(), self.done.copy()
        other.count = self.count
        return other

    def waiting(self, wire: int) -> list[int]:
        """Items of the wire's present group that are not done."""
        groups = self.groups[wire]
        return [i for i in groups[self.head[wire]] if i not in self.done] if self.head[wire] < len(groups) else []

    def ready(self, index: int) -> bool:
        return all(self.group_of[wire][index] == self.head[wire] for wire in self.items[index].wires)

    def take(self, index: int) -> None:
        self.done.add(index)
        self.count += 1
        for wire in self.items[index].wires:
            self.left[wire] -= 1
            if self.left[wire] == 0:
                past = self.groups[wire][self.head[wire]]
                self.head[wire] += 1
                self.done -= {i for i in past if all(self.head[w] > self.group_of[w][i] for w in self.items[i].wires)}
                if self.head[wire] < len(self.groups[wire]):
                    self.left[wire] = len(self.groups[wire][self.head[wire]])

    def key(self) -> tuple[tuple[int, ...], frozenset[int]]:
        """Equal for plans that have done the same items."""
        return tuple(self.head), frozenset(self.done)


class _Trial(NamedTuple):
    """A window under construction."""

    frontier: _Frontier
    wires: tuple[int, ...]
    taken: tuple[int, ...]
    weight: float

    def grown(self, wire: int, *, flat: bool) -> "_Trial":
        """The window with one more wire and all that becomes possible; `flat`: at most one layer of blocks."""
        frontier, wires = self.frontier.copy(), (*self.wires, wire)
        taken, weight = list(self.taken), self.weight
        depth = _depths(frontier.items, taken) if flat else {}
        progress = True
        while progress:
            progress = False
            for q in wires:
                for index in frontier.waiting(q):
                    item = frontier.items[index]
                    if not (set(item.wires) <= set(wires) and frontier.ready(index)):
                        continue
                    if flat and (item.free or any(depth.get(w, 0) >= len(item.wires) for w in item.wires)):
                        continue
                    frontier.take(index)
                    depth.update(dict.fromkeys(item.wires, len(item.wires)))
                    taken.append(index)
                    weight += 1e-3 if item.free else 1.0
                    progress = True
        return _Trial(frontier, wires, tuple(taken), weight)


def _depths(items: list[Item], taken: list[int]) -> dict[int, int]:
    depth: dict[int, int] = {}
    for index in taken:
        depth.update(dict.fromkeys(items[index].wires, len(items[index].wires)))
    return depth


def _hoist(frontier: _Frontier) -> list[Item]:
    """Every affine item that is ready."""
    found, progress = [], True
    while progress:
        progress = False
        for wire in range(len(frontier.head)):
            for index in frontier.waiting(wire):
                if frontier.items[index].free and frontier.ready(index):
                    frontier.take(index)
                    found.append(frontier.items[index])
                    progress = True
    return found


def _grow(frontier: _Frontier, start: int, k: int, *, flat: bool) -> _Trial:
    """The window that begins with one item and takes the wire that helps most, k times."""
    trial = _Trial(frontier, (), (), 0.0)
    for wire in frontier.items[start].wires:
        trial = trial.grown(wire, flat=flat)
    while len(trial.wires) < k:
        outside = [q for q in range(len(frontier.head)) if q not in trial.wires]
        # a wire helps at once where it frees an item, so partners of what waits come before the rest
        partners = {w for q in trial.wires for i in trial.frontier.waiting(q) for w in frontier.items[i].wires}
        grown = [trial.grown(q, flat=flat) for q in sorted(partners & set(outside)) or outside]
        near = [-min(abs(t.wires[-1] - q) for q in trial.wires) for t in grown]
        trial = max(zip(grown, near, strict=True), key=lambda pair: (pair[0].weight, pair[1]))[0]
    return trial


class _Path(NamedTuple):
    """A plan up to some window; `previous` ends one window earlier."""

    frontier: _Frontier
    weight: float
    before: list[Item]  # affine items since the last window
    window: Window | None
    previous: "_Path | None"


def _extend(path: _Path, k: int, *, flat: bool) -> list[_Path]:
    """The path with one more window, in all ways that are tried; none if nothing is left."""
    frontier, n = path.frontier, len(path.frontier.head)
    heads = sorted({i for wire in range(n) for i in frontier.waiting(wire) if frontier.ready(i)})
    paths = []
    for start in heads[: CANDIDATES if k <= NARROW else FEW]:
        trial = _grow(frontier, start, k, flat=flat)
        window = Window(tuple(path.before), trial.wires, tuple(frontier.items[i] for i in trial.taken))
        paths.append(_Path(trial.frontier, path.weight + trial.weight, _hoist(trial.frontier), window, path))
    return paths


def pick_windows(
    n: int, items: list[Item], k: int, *, flat: bool = False, beam: int = 8
) -> tuple[list[Window], tuple[Item, ...]]:
    """Few windows of k wires that hold all items in an allowed order, and the affine items that remain after the last.

    A beam search keeps the `beam` plans that have done most after every window. With `flat` a window holds at most one
    run and one operation on two wires for every wire, and no affine map.
    """
    frontier = _Frontier(n, items)
    paths = [_Path(frontier, 0.0, _hoist(frontier), None, None)]
    while longer := {p.frontier.key(): p for path in paths for p in _extend(path, k, flat=flat)}:
        paths = sorted(longer.values(), key=lambda path: -path.weight)[:beam]
        finished = [path for path in paths if path.frontier.count == len(items)]
        if finished:
            paths = finished[:1]
            break
    path, windows = paths[0], []
    while path.window is not None and path.previous is not None:
        windows.append(path.window)
        path = path.previous
    return windows[::-1], tuple(paths[0].before)
