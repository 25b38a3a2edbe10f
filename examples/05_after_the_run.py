# %% [markdown]
# # After the run
#
# Two runs in processes of their own; then their models back: measured, exported, and as a table of couplings.

# %%
import subprocess
import sys
import tempfile

import jax

jax.config.update("jax_enable_x64", True)

import pennylane as qml

from qnat.experiment import Run
from qnat.quantum import PauliSum

place = tempfile.mkdtemp()
for words in ("gibbs --steps 30", "learning --data counts --generators hamiltonian"):
    command = [sys.executable, "-m", "qnat", "run", *words.split(), "--n", "3", "--out", f"{place}/{words.split()[0]}"]
    subprocess.run(command, check=True)  # noqa: S603 (words of our own)

# %%
state = Run.load(f"{place}/gibbs").model()
print(state.sample(5, key=jax.random.key(0)))
own = PauliSum.from_terms([("ZIZ", 0.5), ("XXI", -1.0)])
print("of my observable", state.expectation(own))

# %%
prepare = state.to_pennylane()


@qml.qnode(qml.device("default.mixed", wires=3))
def by_pennylane():
    """The same expectation."""
    prepare()
    return qml.expval(0.5 * qml.Z(0) @ qml.Z(2) - qml.X(0) @ qml.X(1))


print("    by PennyLane", by_pennylane())
print(state.to_openqasm()[:99], "...")

# %%
learned = Run.load(f"{place}/learning")
print(learned.summary().to_dataframe())
learned.plot(f"{place}/couplings.png")
