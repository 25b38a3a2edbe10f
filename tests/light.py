"""What the core needs and no more: an environment of its own without four heavy packages, in which it runs.

Installs from constraints.txt, package by package and without dependencies, what qnat needs when those four are left
out; then imports the floors below the tasks and runs a thermal state by the command line.
"""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
HEAVY = {"matplotlib", "pennylane", "pennylane-lightning", "qutip", "scikit-learn"}
CODE = """
import importlib.util
for name in ("matplotlib", "pennylane", "qutip", "sklearn"):
    assert importlib.util.find_spec(name) is None, name
import qnat.geometry, qnat.optim, qnat.inference, qnat.experiment
"""


def normalised(name: str) -> str:
    """A name as package indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed() -> set[str]:
    """The packages that qnat needs, and those that they need, without the heavy ones."""
    found: set[str] = set()
    todo = ["qnat"]
    while todo:
        for line in importlib.metadata.requires(todo.pop()) or []:
            name = normalised(re.split(r"[ ;<>=!~\[(]", line, maxsplit=1)[0])
            if "extra ==" in line or name in found | HEAVY:
                continue
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # of another platform or version of Python
            found.add(name)
            todo.append(name)
    return found


def pinned(names: set[str]) -> str:
    """Their lines of constraints.txt, hashes included."""
    blocks = re.split(r"^(?=\S)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    return "".join(block for block in blocks if normalised(block.partition("==")[0]) in names)


def main() -> None:
    """Makes the environment, and throws it away."""
    with tempfile.TemporaryDirectory() as place:
        python = pathlib.Path(place, "bin", "python")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        wanted = pathlib.Path(place, "wanted.txt")
        wanted.write_text(pinned(needed()))
        install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "--require-hashes", "-r", wanted], check=True)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*build, "--wheel-dir", place, ROOT], check=True)
        subprocess.run([*install, *pathlib.Path(place).glob("qnat-*.whl")], check=True)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([python, "-c", CODE], check=True, env=environment, cwd=place)
        qnat = pathlib.Path(place, "bin", "qnat")
        words = ["run", "gibbs", "--n", "2", "--layers", "1", "--steps", "3", "--out", "run"]
        subprocess.run([qnat, *words], check=True, env=environment, cwd=place)
        molecule = [qnat, *["run", "gibbs", "--hamiltonian", "h2"]]
        refused = subprocess.run(molecule, check=False, env=environment, cwd=place, capture_output=True, text=True)
        assert refused.returncode == 2, refused
        assert refused.stderr == "qnat: The package pennylane is not installed; 'pip install pennylane' brings it.\n"


if __name__ == "__main__":
    main()
