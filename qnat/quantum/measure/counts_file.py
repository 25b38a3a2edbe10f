"""Reads Pauli measurement counts from a file; imports no array library, so that a command line can refuse at once."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

Counts = dict[str, dict[str, int]]
"""{setting: {bit string: count}}: letter q of a setting is the axis along which wire q was measured, character q of a
bit string its outcome, 0 for the eigenvalue +1 and 1 for −1; wire 0 stands on the left."""

_EXAMPLE = '{"settings": {"XXZZ": {"shots": 1000, "counts": {"0000": 421, "0110": 579}}}}'


def read_counts(path: str | pathlib.Path) -> Counts:
    """The counts of a JSON file such as {"settings": {"XXZZ": {"shots": 1000, "counts": {"0000": 421, "0110": 579}}}}.

    Conventions are those of `Counts`. "shots" is the number of copies that were measured in the setting; it must be the
    sum of its counts, so that a lost or doubled line does not pass unseen. Bit strings that never came may be left out.

    Raises:
        ValueError: one sentence naming the file, the setting, and what is wanted.
    """
    path = pathlib.Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise ValueError(f"Cannot read the counts file {path}: {error.strerror or error}; give a JSON file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"The counts file {path} is not text; give JSON such as {_EXAMPLE}.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: this is not valid JSON ({error.msg}).") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    settings = document.get("settings") if isinstance(document, dict) else None
    if not isinstance(settings, dict) or not settings:
        raise ValueError(f'{path}: the counts need an object "settings", such as {_EXAMPLE}.')
    first = next(iter(settings))
    return {
        setting: _checked(f"{path}, setting '{setting}'", setting, first, given) for setting, given in settings.items()
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


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose keys must differ: the standard library would silently keep the last of two."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' stands twice in one object; add its counts up, and write it once.")
    return found


def _checked(place: str, setting: str, first: str, given: Any) -> dict[str, int]:
    if not setting or not set("XYZ").issuperset(setting):
        raise ValueError(f"{place}: a setting is one letter X, Y or Z for each qubit.")
    if len(setting) != len(first):
        raise ValueError(f"{place}: it measures {len(setting)} qubits, but the first setting '{first}' {len(first)}.")
    counts, shots = (given.get("counts"), given.get("shots")) if isinstance(given, dict) else (None, None)
    if not isinstance(counts, dict) or not _whole(shots):
        raise ValueError(f'{place}: it needs "shots", a whole number, and "counts", such as {{"0110": 579}}.')
    for bits, count in counts.items():
        if len(bits) != len(setting) or not set("01").issuperset(bits):
            raise ValueError(f"{place}: '{bits}' is not a string of {len(setting)} bits.")
        if not _whole(count):
            raise ValueError(f"{place}: the count of '{bits}' is {count!r}; it must be a whole number of at least 0.")
    if (total := sum(counts.values())) != shots:
        raise ValueError(f"{place}: its counts add up to {total}, but its shots are {shots}; the two must agree.")
    if not shots:
        raise ValueError(f"{place}: it has no shots; leave a setting out that was not measured.")
    return dict(counts)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
