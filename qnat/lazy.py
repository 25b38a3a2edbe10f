"""Packages whose names are loaded when they are first used."""

import ast
import importlib
import pathlib
from collections.abc import Callable
from typing import Any


def attach(package: str, init: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose names its stub imports.

    The stub `__init__.pyi` beside the package's `__init__.py` says, in the words of Python, where every name lives.
    Editors and type checkers read it too, so that there is one list.

    Args:
        package: its `__name__`. init: its `__file__`.
    """
    home: dict[str, tuple[str, str]] = {}
    for node in ast.parse(pathlib.Path(init).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            home |= {alias.asname or alias.name: (module, alias.name) for alias in node.names}
    names = sorted(home)

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module '{package}' has no attribute '{name}'; it has {', '.join(names)}.")
        module, found = home[name]
        if module == ".":  # a room inside
            return importlib.import_module(f".{found}", package)
        return getattr(importlib.import_module(module, package), found)

    return load, lambda: names, names
