"""The README does what it says."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(code, {})
    assert "nan" not in capsys.readouterr().out
