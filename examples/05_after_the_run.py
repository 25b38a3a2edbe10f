# %% [markdown]
# # After the run
#
# Train a thermal state, find it again in another process, measure it, export it; learn couplings and their errors.

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
qnat = [sys.executable, "-c", "import sys; from qnat.cli import main; sys.exit(main())"]
subprocess.run([*qnat, *f"run gibbs --n 3 --beta 1 --steps 30 --out {place}/gibbs".split()], check=True)
subprocess.run([*qnat, *f"run learning --n 3 --data counts --steps 30 --out {place}/learning".split()], check=True)

# %%
state = Run.load(f"{place}/gibbs").model()
print(state.sample(5, key=jax.random.key(0)))
own = PauliSum.from_terms([("ZIZ", 0.5), ("XXI", -1.0)])
print("my observable", state.expectation(own))

# %%
prepare = state.to_pennylane()


@qml.qnode(qml.device("default.mixed", wires=3))
def correlation():
    prepare()
    return qml.expval(qml.Z(0) @ qml.Z(2))


print("by PennyLane ", correlation())
print(state.to_openqasm()[:120], "...")

# %%
print(Run.load(f"{place}/learning").summary().to_dataframe())
