"""Reads a Hamiltonian from a file; imports no array library, so that a command line can refuse a bad file at once."""

import itertools
import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import json_of, reading, shown, text_of

from .terms import ROUNDING, Terms, full, is_full, qubits

_WHAT = "the Hamiltonian file"
_INSTEAD = "give lines such as 'ZZII -1.0' or 'X0 Z3 -0.5', or JSON such as {\"ZZII\": -1.0}"
_COMMENT = re.compile(r"#.*|(?:^|(?<=\s))(?://|%).*")
_JSON = re.compile(r"\s*(?:\{|\[\s*[\[{\"\]])")
_BRACKETS = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")
_STRING = re.compile(r"[IXYZixyz]+")
_FACTOR = re.compile(r"([IXYZixyz])([0-9]{1,9})")
_NUMBER = re.compile(r"[-+0-9.eEjJ]+|[-+]?(?:inf|nan)", re.IGNORECASE)


class _Entry(NamedTuple):
    """A term as it stands in a file: where, its words, its coefficient, None if that is no number."""

    place: str
    words: str
    said: Any
    coefficient: complex | None


def read_terms(path: str | pathlib.Path, n: int | None = None) -> list[tuple[str, float]]:
    """Pauli terms of a Hamiltonian file, equal strings added up, in order of first appearance.

    Letter q of a string acts on wire q, and so does a letter with the number q. Coefficients are energies and must be
    real, because a Hamiltonian is Hermitian; imaginary parts below 1e-12 of the largest are rounding, and dropped.
    What is read, in small or capital letters, also gzipped:

    - text with one term a line: `ZZII -1.0`, `-1.0 ZZII`, `ZZII, -1.0`; sparse `X0 Z3 -0.5`; OpenFermion's
      `(-0.5+0j) [X0 Z3] +`. Blank lines are skipped, and comments, which begin with `#`, `//` or `%`;
    - JSON: `{"ZZII": -1.0}` or `[["ZZII", -1.0]]`, and either as the value of one key "terms".

    Args:
        path: the file.
        n: number of qubits, which may be more than a sparse list numbers; None for one more than its largest number.

    Raises:
        RefusedError: one sentence naming the file, the line or term, and what is wanted.
    """
    found = read_sum(path)
    try:
        return full(found, qubits(found) if n is None else n)
    except ValueError as error:
        raise RefusedError(f"{shown(path, 4096)}: {error}") from None


def read_sum(path: str | pathlib.Path) -> Terms:
    """The terms of a file as it writes them, in full or sparse, such as "X0 Z3"; see `read_terms`."""
    name = shown(path, 4096)
    with reading(path, _WHAT, _INSTEAD):
        text = text_of(path).replace("\N{MINUS SIGN}", "-")
        entries = list(_json_entries(name, text) if _JSON.match(text) else _text_entries(name, text))
        if not entries:
            raise RefusedError(f"{name} holds no term; write at least one line such as 'ZZII -1.0'.")
        return _added_up(entries)


def _text_entries(name: str, text: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        if said := _COMMENT.sub("", line).strip():
            place = f"{name}, line {number}"
            for words, coefficient in _terms_of(place, said):
                yield _Entry(place, words, coefficient, _number(coefficient))


def _terms_of(place: str, line: str) -> Iterator[tuple[str, str]]:
    """(Pauli words, coefficient) of each term in a line: several have brackets and a plus between them."""
    refusal = RefusedError(f"{place}: '{shown(line, 60)}' is not a term; write a Pauli string and one real number.")
    if "[" in line:
        for piece in re.split(r"(?<=\])\s*\+\s*", line.removesuffix("+").strip()):
            match = _BRACKETS.fullmatch(piece)
            if match is None or len(match[1].split()) != 1:
                raise refusal
            yield f"[{match[2]}]", match[1].strip()
        return
    words = line.replace(",", " ").replace("*", " ").split()
    first = _number(words[0]) is not None
    if len(words) < 2 or any(_number(word) is not None for word in words[1:-1]):
        raise refusal
    strings, coefficient = (words[1:], words[0]) if first else (words[:-1], words[-1])
    if len(strings) > 1 and not all(map(_FACTOR.fullmatch, strings)):
        raise refusal
    yield " ".join(strings), coefficient


def _json_entries(name: str, text: str) -> Iterator[_Entry]:
    terms = json_of(text)
    if isinstance(terms, dict) and "terms" in terms:
        if unknown := [key for key in terms if key != "terms"]:
            raise RefusedError(f"{name}: unknown key '{shown(unknown[0], 40)}'; the one key is \"terms\".")
        terms = terms["terms"]
    if isinstance(terms, dict):
        terms = [list(pair) for pair in terms.items()]
    if not isinstance(terms, list):
        raise RefusedError(f'{name}: the JSON needs a list "terms", such as {{"terms": [["ZZII", -1.0]]}}.')
    for number, term in enumerate(terms, start=1):
        place = f"{name}, term {number}"
        if not (isinstance(term, list) and len(term) == 2 and isinstance(term[0], str)):
            raise RefusedError(f"{place}: {shown(repr(term), 60)} is not a pair of a Pauli string and a real number.")
        number_given = isinstance(term[1], int | float) and not isinstance(term[1], bool)
        yield _Entry(place, term[0], term[1], _number(str(term[1])) if number_given else None)


def _number(word: str) -> complex | None:
    """The number that a word spells, with or without brackets around it; None if it spells none."""
    word = word[1:-1] if word.startswith("(") and word.endswith(")") else word
    if not _NUMBER.fullmatch(word):
        return None
    try:
        return complex(word)
    except ValueError:
        return None


def _added_up(entries: list[_Entry]) -> Terms:
    """Equal strings added up, and real."""
    strings, coefficients = [_string(entry) for entry in entries], [_finite(entry) for entry in entries]
    sparse, first = not all(map(is_full, strings)), strings[0]
    largest = max(abs(coefficient.real) for coefficient in coefficients)
    terms: dict[str, float] = {}
    for entry, given, coefficient in zip(entries, strings, coefficients, strict=True):
        if sparse and is_full(given) and given != "I":  # the identity is written alike in both forms
            place = f"{entry.place}: '{shown(given, 60)}'"
            raise RefusedError(f"{place} has no numbers and others have; write all terms alike.")
        string = " ".join(factor for factor in given.split() if factor[0] != "I") if sparse else given
        if not sparse and len(string) != len(first):
            raise RefusedError(
                f"{entry.place}: '{shown(string, 60)}' acts on {len(string)} qubits but the first term "
                f"'{shown(first, 60)}' on {len(first)}; write one letter per qubit in every term."
            )
        if abs(coefficient.imag) > ROUNDING * largest:
            raise RefusedError(
                f"{entry.place}: the coefficient {shown(entry.said, 60)} of '{shown(string, 60)}' is complex, so the "
                "sum is not Hermitian; give a real number."
            )
        terms[string] = terms.get(string, 0.0) + coefficient.real
        if not math.isfinite(terms[string]):
            raise RefusedError(
                f"{entry.place}: the coefficients of '{shown(string, 60)}' overflow; choose other units."
            )
    found = list(terms.items())
    if sparse and (most := max(map(_last, strings))) > max(map(_last, terms)):
        found[0] = (f"{found[0][0]} I{most}".strip(), found[0][1])  # qubits that no other letter tells of
    return found


def _last(string: str) -> int:
    """The largest number in a sparse string; −1 without one."""
    return max((int(factor[1:] or 0) for factor in string.split()), default=-1)


def _string(entry: _Entry) -> str:
    """A string of capital letters, or a sparse one in ascending order."""
    if _STRING.fullmatch(entry.words):
        return entry.words.upper()
    bracketed = entry.words.startswith("[") and entry.words.endswith("]")
    words = (entry.words[1:-1] if bracketed else entry.words).split()
    factors = [_FACTOR.fullmatch(word) for word in words]
    if not all(factors) or not (words or bracketed):
        raise RefusedError(
            f"{entry.place}: '{shown(entry.words, 60)}' is not a Pauli string; use only the letters I, X, Y, Z, one a "
            "qubit, or each with its number, as in X0 Z3."
        )
    pairs = sorted((int(factor[2]), factor[1].upper()) for factor in factors if factor)
    for (qubit, _), (following, _) in itertools.pairwise(pairs):
        if qubit == following:
            raise RefusedError(
                f"{entry.place}: qubit {qubit} stands twice in '{shown(entry.words, 60)}'; once is wanted."
            )
    return " ".join(f"{letter}{qubit}" for qubit, letter in pairs)


def _finite(entry: _Entry) -> complex:
    found = entry.coefficient
    if found is None or not (math.isfinite(found.real) and math.isfinite(found.imag)):
        said = shown(repr(entry.said), 60)
        raise RefusedError(
            f"{entry.place}: the coefficient {said} of '{shown(entry.words, 60)}' is not a finite real number."
        )
    return found
