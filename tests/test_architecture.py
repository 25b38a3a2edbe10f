"""The rules of the house that no other tool checks."""

import ast
import functools
import graphlib
import importlib
import importlib.metadata
import inspect
import pathlib
import pkgutil
import re
import runpy
import subprocess
import sys

import pytest

import classical
import qnat
from qnat import moved

ROOT = pathlib.Path(__file__).parents[1]

CEILING = 300  # lines; a reader holds one file in mind
LONGER: dict[str, str] = {}  # why it may be longer

PACKAGES = (classical, qnat)
MODULES = sorted(
    module.name for package in PACKAGES for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)
ROOMS = [name for name in MODULES if (ROOT / name.replace(".", "/") / "__init__.py").exists()]
SPECS = sorted(point.module for point in importlib.metadata.entry_points(group="qnat.tasks"))

MUTANTS = runpy.run_path(str(ROOT / "tests" / "mutants.py"))["MUTANTS"]

PLACES = [".ci", "benchmarks", "classical", "docs", "examples", "qnat", "tests"]
TEXT = {"", ".bib", ".cff", ".json", ".md", ".py", ".pyi", ".svg", ".toml", ".txt", ".typed"}
STRANGERS = {
    "a path of one machine": re.compile(r"(?<![\w.}])/(home|root|tmp|work|Users)/"),
    "the address of a package registry": re.compile(r"pypi\.org|pythonhosted|index-url|registry\.npmjs"),
    "a folder outside the repository": re.compile(r"\.\./" + "shared"),
}


def test_importing_the_tests_compiles_nothing(compiled_by_collecting):
    assert compiled_by_collecting == 0  # every worker would pay for it; keep arrays of modules in NumPy


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_changes_one_line(mutant):
    assert (ROOT / mutant.path).read_text().count(mutant.old) == 1
    assert "\n" not in mutant.old + mutant.new
    assert mutant.new != mutant.old
    assert all((ROOT / chosen).exists() for chosen in mutant.tests.split())


def text_files() -> list[pathlib.Path]:
    inside = [path for place in PLACES for path in (ROOT / place).rglob("*")]
    files = [path for path in [*ROOT.iterdir(), *inside] if path.is_file() and path.suffix in TEXT]
    return [path for path in files if not {"_build", "__pycache__"} & set(path.parts)]


def test_python_files_stay_short():
    paths = [path for package in PACKAGES for path in (ROOT / package.__name__).glob("**/*.py")]
    lengths = {path.relative_to(ROOT).as_posix(): path.read_text().count("\n") for path in paths}
    assert {name for name, length in lengths.items() if length > CEILING} == set(LONGER)


def imports(name: str) -> list[tuple[str, str]]:
    """(module, name) of everything that a module imports, wherever the import stands; a whole module has no name."""
    path = ROOT / name.replace(".", "/")
    package = (name if path.is_dir() else name.rpartition(".")[0]).split(".")
    stub = path / "__init__.pyi"  # what a lazy package passes on
    file = stub if stub.exists() else path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            found += [(".".join([*base, *([node.module] if node.module else [])]), alias.name) for alias in node.names]
    return found


def home(module: str, name: str) -> str:
    """The file that defines a name: a package's `__init__` only passes names on."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    if module not in ROOMS or not name:
        return module
    where = {passed: source for source, passed in imports(module)}
    return (
        home(where[name], name)
        if name in where
        else getattr(getattr(importlib.import_module(module), name), "__module__", module)
    )


ARROWS = {
    name: {home(*each) for each in imports(name) if each[0].partition(".")[0] in ("qnat", "classical")}
    for name in MODULES
    if name not in ROOMS
}


def test_no_file_imports_itself_through_others():
    # imports inside functions and for type checking count: a circle of them is a circle to a reader as well
    tuple(graphlib.TopologicalSorter(ARROWS).static_order())  # raises CycleError, with the circle


@pytest.mark.parametrize("name", ROOMS)
def test_public_names_resolve_and_are_documented(name):
    room = importlib.import_module(name)
    assert inspect.getdoc(room)
    undocumented = []
    for public in getattr(room, "__all__", []):
        doc = inspect.getdoc(getattr(room, public)) or ""
        # dataclasses and named tuples without a docstring show their signature instead
        if public != "__version__" and (not doc or doc.startswith(f"{public}(")):
            undocumented.append(public)
    assert not undocumented


@pytest.mark.parametrize("old", moved.MOVED)
def test_modules_that_moved_are_found_by_their_old_names(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=rf"{old} is now"):
        module = importlib.import_module(old)
    for new in moved.MOVED[old]:
        found = importlib.import_module(new)
        public = [name for name, value in vars(found).items() if getattr(value, "__module__", "") == new]
        assert all(getattr(module, name) is getattr(found, name) for name in public)


@pytest.mark.parametrize("room", moved.NAMES)
def test_names_that_moved_are_found_in_the_room_that_had_them(room):
    for name, home_of in moved.NAMES[room].items():
        with pytest.warns(DeprecationWarning, match=rf"{room}.{name} is now {home_of}.{name}"):
            found = getattr(importlib.import_module(room), name)
        assert found is getattr(importlib.import_module(home_of), name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        importlib.import_module(room).nothing  # noqa: B018


@pytest.mark.parametrize("name", ROOMS)
def test_dir_shows_the_public_names(name):
    room = importlib.import_module(name)
    assert set(getattr(room, "__all__", [])) <= set(dir(room))


def imported_by(name: str) -> set[str]:
    """Top-level packages that a fresh interpreter loads for `import name`, beyond what it starts with."""
    code = f"import sys; before = set(sys.modules); import {name}; print(*(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {module.partition(".")[0] for module in out.split()}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_the_standard_library_only(package):
    assert imported_by(package.__name__) <= set(sys.stdlib_module_names) | {package.__name__, "qnat"}


def test_words_are_read_without_arrays():
    # a refusal or --help must answer at once, and jax alone takes most of a second to import
    assert not {"jax", "numpy", "matplotlib", "xarray"} & imported_by(
        ", ".join(["qnat.cli", "qnat.experiment", *SPECS])
    )


@pytest.mark.parametrize("stranger", STRANGERS)
def test_files_mention_nothing_outside_the_repository(stranger):
    pattern, here = STRANGERS[stranger], pathlib.Path(__file__)
    files = [path for path in text_files() if path != here and path.name != "Makefile"]
    assert not [str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_text(errors="ignore"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ROOMS if (ROOT / name.replace(".", "/") / "__init__.pyi").exists()])
def test_editors_know_the_types_of_names_that_load_when_first_used(name, tmp_path):
    names = importlib.import_module(name).__all__
    file = tmp_path / "asked.py"
    file.write_text(f"import {name}\n" + "".join(f"reveal_type({name}.{each})\n" for each in names))
    command = [sys.executable, "-m", "mypy", "--follow-imports", "silent", str(file)]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    told = re.findall(r'Revealed type is "(.*)"', out)
    assert len(told) == len(names)
    assert "Any" not in told


@functools.cache
def trees() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in (ROOT / package.__name__).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in files}


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether it catches everything; one that only tidies up raises what it caught again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(kind, "id", getattr(kind, "attr", None)) for kind in kinds if kind is not None}
    last = handler.body[-1]
    tidies = isinstance(last, ast.Raise) and last.exc is None
    return (handler.type is None or bool(names & {"Exception", "BaseException"})) and not tidies


def test_any_exception_is_caught_in_two_places_only():
    found = [
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    # a package of someone else's, and a file of someone else's
    assert sorted(found) == ["qnat/experiment/reading.py", "qnat/experiment/registry.py"]


OPENERS = {"open", "read_text", "read_bytes", "load", "loadtxt", "loadmat", "whosmat", "fromfile", "memmap", "File"}


def test_files_of_others_are_opened_in_one_place():
    found = set()
    for name, tree in trees().items():
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            # `Run.load`, `entry_point.load` and `sets.load` are ours
            attribute = isinstance(called, ast.Attribute) and called.attr in OPENERS - {"load"}
            if attribute or (isinstance(called, ast.Name) and called.id in {"open", *OPENERS} - {"load"}):
                found.add(name)
    ours = {name for name in found if name.startswith("qnat/experiment/store/")}
    assert found - ours == {
        "classical/data/headers.py",  # to hash it, inside `reading`
        "classical/data/matlab_child.py",  # a process that may crash
        "classical/data/sets.py",  # the text of lines that are open
        "qnat/experiment/console.py",  # the null device
        "qnat/experiment/reading.py",
        "qnat/experiment/words/references.py",  # of the package
        "qnat/lazy.py",  # of the package
    }
