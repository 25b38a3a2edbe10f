"""Reads a Hamiltonian from a file; imports no array library, so that a command line can refuse a bad file at once."""

import json
import math
import pathlib

_LETTERS = frozenset("IXYZ")


def read_terms(path: str | pathlib.Path) -> list[tuple[str, float]]:
    """Pauli terms of a Hamiltonian file, equal strings added up, in order of first appearance.

    Two formats: text with one term a line, `ZZII -1.0` (blank lines and `#` comments are skipped), or JSON,
    `{"terms": [["ZZII", -1.0], ...]}`. Letter q of a string acts on wire q; coefficients are energies and must be
    real, because a Hamiltonian is Hermitian.

    Args:
        path: the file.

    Raises:
        ValueError: one sentence naming the file, the line or term, and what is wanted.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"Cannot read the Hamiltonian file {path}: {error.strerror or error}; give a readable text or JSON file."
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"The Hamiltonian file {path} is not text; give lines such as 'ZZII -1.0' or JSON.") from None
    entries = _json_entries(path, text) if text.lstrip().startswith(("{", "[")) else _text_entries(path, text)
    terms: dict[str, float] = {}
    for place, string, coefficient in entries:
        terms[string] = terms.get(string, 0.0) + _checked(place, string, coefficient, next(iter(terms), string))
    if not terms:
        raise ValueError(f"The Hamiltonian file {path} holds no term; write at least one line such as 'ZZII -1.0'.")
    return list(terms.items())


def _text_entries(path: pathlib.Path, text: str) -> list[tuple[str, str, object]]:
    entries: list[tuple[str, str, object]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        place = f"{path}, line {number}"
        if len(words) != 2:
            raise ValueError(f"{place}: '{line.strip()}' is not a term; write a Pauli string and one real number.")
        entries.append((place, words[0], _number(words[1])))
    return entries


def _json_entries(path: pathlib.Path, text: str) -> list[tuple[str, str, object]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: this is not valid JSON ({error.msg}).") from None
    terms = document.get("terms") if isinstance(document, dict) else None
    if not isinstance(terms, list):
        raise ValueError(f'{path}: the JSON needs a list "terms", such as {{"terms": [["ZZII", -1.0]]}}.')
    entries: list[tuple[str, str, object]] = []
    for number, term in enumerate(terms, start=1):
        place = f"{path}, term {number}"
        if not (isinstance(term, list) and len(term) == 2 and isinstance(term[0], str)):
            raise ValueError(f"{place}: {json.dumps(term)} is not a pair of a Pauli string and a real number.")
        entries.append((place, term[0], term[1]))
    return entries


def _number(word: str) -> object:
    """The number that a word spells, complex if it must be, else the word itself."""
    for kind in (float, complex):
        try:
            return kind(word)
        except ValueError:
            pass
    return word


def _checked(place: str, string: str, coefficient: object, first: str) -> float:
    if not string or not _LETTERS.issuperset(string):
        raise ValueError(f"{place}: '{string}' is not a Pauli string; use only the letters I, X, Y, Z.")
    if len(string) != len(first):
        raise ValueError(
            f"{place}: '{string}' acts on {len(string)} qubits but the first term '{first}' on {len(first)}; "
            "write one letter per qubit in every term."
        )
    if isinstance(coefficient, complex):
        raise ValueError(
            f"{place}: the coefficient {coefficient} of '{string}' is complex, so the sum is not Hermitian; "
            "give a real number."
        )
    if isinstance(coefficient, bool) or not isinstance(coefficient, int | float) or not math.isfinite(coefficient):
        raise ValueError(f"{place}: the coefficient {coefficient!r} of '{string}' is not a finite real number.")
    return float(coefficient)
