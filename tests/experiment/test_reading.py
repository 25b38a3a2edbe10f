"""Whatever is wrong with a file of somebody else is one sentence."""

import gzip
import os
import subprocess
import sys

import pytest

from qnat.experiment import RefusedError
from qnat.experiment.reading import LARGEST_TEXT, json_of, opened, reading, shown, text_lines, text_of

WRONG = [
    (ValueError("odd\nlines"), "odd"),
    (MemoryError(), "it does not fit into memory"),
    (MemoryError("Unable to allocate 8 EiB"), "Unable to allocate 8 EiB"),
    (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is not text in UTF-8"),
    (OSError(5, "Input/output error"), "Input/output error"),
    (EOFError(), "EOFError"),
    (KeyError("X"), "'X'"),
    (ZeroDivisionError("escape \x1b[2J"), r"escape \\u001b\[2J"),
]


@pytest.mark.parametrize(("error", "said"), WRONG, ids=lambda each: type(each).__name__)
def test_any_exception_becomes_one_sentence_that_names_the_file(error, said):
    with (
        pytest.raises(RefusedError, match=rf"^Cannot read the data in a b\.npy \({said}\); give it anew\.$") as caught,
        reading("a b.npy", "the data in", "give it anew"),
    ):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [RefusedError("As it is."), KeyboardInterrupt(), SystemExit(3)])
def test_refusals_and_the_end_of_the_process_pass(error):
    with pytest.raises(type(error)) as caught, reading("file"):
        raise error
    assert caught.value is error


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder"), ("/dev/zero", "a device")):
        with pytest.raises(ValueError, match=f"it is {kind}, not a regular file"):
            opened(path)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a pipe"):
        text_of(tmp_path / "link")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_has_a_mark_or_none_and_may_be_packed(tmp_path, pack, mark):
    (tmp_path / "t").write_bytes(pack(mark + "µ\nβ".encode()))
    assert text_of(tmp_path / "t") == "µ\nβ"
    with text_lines(tmp_path / "t") as lines:
        assert list(lines) == ["µ\n", "β"]


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
def test_other_encodings_are_refused_by_name(tmp_path, name, marked):
    (tmp_path / "t").write_bytes(("\ufeff" * (marked and len(name) > 6) + "ZZ 1\n").encode(name))
    told = f"in {name[:6].upper()}" if marked or len(name) == 6 else "it holds zero bytes"
    with pytest.raises(ValueError, match=told):
        text_of(tmp_path / "t")


def test_nothing_is_read_beyond_its_bound(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(LARGEST_TEXT + 1)))
    assert (tmp_path / "bomb").stat().st_size < LARGEST_TEXT / 500
    with pytest.raises(ValueError, match="it holds more than 64 MiB"):
        text_of(tmp_path / "bomb")
    (tmp_path / "short").write_bytes(b"0123456789")
    with opened(tmp_path / "short", 10) as file:
        assert file.read(4) + file.read() == b"0123456789"
    with opened(tmp_path / "short", 9) as file, pytest.raises(ValueError, match="it holds more than"):
        file.read()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        ("[1, NaN]", "NaN is not a number of JSON"),
        ("[-Infinity]", "-Infinity is not a number of JSON"),
        ("[1,\n2", "line 2: this is not valid JSON"),
        ("1" * 5000, "limit"),
    ],
)
def test_json_is_what_json_is(text, said):
    with pytest.raises(ValueError, match=said):
        json_of(text)
    with pytest.raises(RecursionError):
        json_of("[" * 100_000)


def test_words_of_others_are_shown_on_one_line():
    assert shown("β [bold]") == "β [bold]"
    assert shown("a\n\x1b\ud800\u2028") == r"a\u000a\u001b\ud800\u2028"
    assert shown("x" * 300) == "x" * 197 + "..."


def test_reading_loads_the_standard_library_only():
    code = "import sys; from qnat.experiment import reading; print('numpy' in sys.modules, 'pydantic' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False False\n"
