"""Reads Pauli measurement counts from a file; imports no array library, so that a command line can refuse at once."""

import json
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import json_of, reading, shown, text_of

Counts = dict[str, dict[str, int]]
"""{setting: {bit string: count}}: letter q of a setting is the axis along which wire q was measured, character q of a
bit string its outcome, 0 for the eigenvalue +1 and 1 for −1; wire 0 stands on the left."""

_EXAMPLE = '{"settings": {"XXZZ": {"shots": 1000, "counts": {"0000": 421, "0110": 579}}}}'


def read_counts(path: str | pathlib.Path) -> Counts:
    """The counts of a JSON file such as {"settings": {"XXZZ": {"shots": 1000, "counts": {"0000": 421, "0110": 579}}}}.

    Conventions are those of `Counts`. "shots" is the number of copies that were measured in the setting; it must be the
    sum of its counts, so that a lost or doubled line does not pass unseen. Bit strings that never came may be left out.

    Raises:
        RefusedError: one sentence naming the file, the setting, and what is wanted.
    """
    name = shown(path, 4096)
    with reading(path, "the counts file", f"give JSON such as {_EXAMPLE}"):
        document = json_of(text_of(path))
        settings = document.get("settings") if isinstance(document, dict) else None
        if not isinstance(settings, dict) or not settings:
            raise RefusedError(f'{name}: the counts need an object "settings", such as {_EXAMPLE}.')
        _check_keys(name, document, ("settings",))
        first = next(iter(settings))
        return {
            setting: _checked(f"{name}, setting '{shown(setting, 60)}'", setting, first, given)
            for setting, given in settings.items()
        }


def write_counts(path: str | pathlib.Path, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Writes counts in the format that `read_counts` reads."""
    settings = {setting: {"shots": sum(found.values()), "counts": dict(found)} for setting, found in counts.items()}
    pathlib.Path(path).write_text(json.dumps({"settings": settings}, indent=1) + "\n", encoding="utf-8")


def compatible(string: str, setting: str) -> bool:
    """Whether a Pauli string can be read off a setting: every letter of it stands there, or is I."""
    return all(letter in ("I", axis) for letter, axis in zip(string, setting, strict=True))


def unmeasured(strings: Iterable[str], settings: Iterable[str]) -> list[str]:
    """The Pauli strings that no setting gives."""
    known = list(settings)
    return [string for string in strings if not any(compatible(string, setting) for setting in known)]


def check_measured(strings: Iterable[str], settings: Iterable[str]) -> None:
    """Refuses strings that no setting gives, by name."""
    missing = unmeasured(strings, settings)
    if missing:
        named = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise ValueError(
            f"The settings do not measure {named}; measure a setting with these letters on these wires, or leave the "
            "strings out of the model."
        )


def _check_keys(place: str, found: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := [key for key in found if key not in known]:
        raise RefusedError(f"{place}: unknown key '{shown(unknown[0], 40)}'; the keys are {', '.join(known)}.")


def _checked(place: str, setting: str, first: str, given: Any) -> dict[str, int]:
    if not setting or not set("XYZ").issuperset(setting):
        raise RefusedError(f"{place}: a setting is one letter X, Y or Z for each qubit.")
    if len(setting) != len(first):
        raise RefusedError(
            f"{place}: it measures {len(setting)} qubits, but the first setting '{shown(first, 60)}' {len(first)}."
        )
    counts, shots = (given.get("counts"), given.get("shots")) if isinstance(given, dict) else (None, None)
    if not isinstance(counts, dict) or not _whole(shots):
        raise RefusedError(f'{place}: it needs "shots", a whole number, and "counts", such as {{"0110": 579}}.')
    _check_keys(place, given, ("shots", "counts"))
    for bits, count in counts.items():
        if len(bits) != len(setting) or not set("01").issuperset(bits):
            raise RefusedError(f"{place}: '{shown(bits, 60)}' is not a string of {len(setting)} bits.")
        if not _whole(count):
            said = f"the count of '{shown(bits, 60)}' is {shown(repr(count), 60)}"
            raise RefusedError(f"{place}: {said}; it must be a whole number of at least 0 and at most 2^53.")
    if (total := sum(counts.values())) != shots:
        raise RefusedError(f"{place}: its counts add up to {total}, but its shots are {shots}; the two must agree.")
    if not shots:
        raise RefusedError(f"{place}: it has no shots; leave a setting out that was not measured.")
    return dict(counts)


def _whole(value: Any) -> bool:
    """Whether a value is a number of copies; above 2^53 double precision does not count singly."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53
