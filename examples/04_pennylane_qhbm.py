# %% [markdown]
# # A PennyLane circuit of your own as a thermal state
#
# Below stands a QNode as a PennyLane user writes it, for `lightning.qubit`. It becomes the circuit of a quantum
# Hamiltonian-based model, ρ = U(φ) diag(p_θ) U(φ)†, without a line of it being changed, and is trained towards
# exp(−βH)/Z by natural gradient. Energies and their gradients come from lightning, by the adjoint method, for each of
# the basis states; the BKM metric comes from here, because PennyLane has none of mixed states.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pennylane as qml

from qnat.experiment import run
from qnat.optim import natural_gradient
from qnat.quantum import DeviceThermalTask, LatentGibbs
from qnat.quantum.backends.pennylane import PennyLane, from_circuit, to_circuit, to_pauli_sum

jax.config.update("jax_enable_x64", True)

n, depth, beta = 3, 5, 2.0
device = qml.device("lightning.qubit", wires=n)
H = qml.spin.transverse_ising("chain", [n], coupling=1.0, h=1.0, boundary_condition=True)


@qml.qnode(device, diff_method="adjoint")
def energy(weights):
    """⟨H⟩ in the state that the circuit makes of |000⟩."""
    for layer in weights:
        for wire in range(n):
            qml.RY(layer[0, wire], wires=wire)
        for wire in range(n):
            qml.IsingXY(np.pi / 2, wires=[wire, (wire + 1) % n])
            qml.CRX(layer[1, wire], wires=[wire, (wire + 1) % n])
        for wire in range(n):
            qml.PauliRot(layer[2, wire], "YZ", wires=[wire, (wire + 1) % n])
    return qml.expval(H)


# %% [markdown]
# `to_circuit` reads the QNode once. Gates of constant angle stay fixed; every other has an angle, and `angles` maps
# weights to them.

# %%
weights = np.random.default_rng(0).normal(scale=0.3, size=(depth, 3, n))
circuit, angles = to_circuit(energy, weights)
hamiltonian, backend = to_pauli_sum(H), PennyLane(device)
found = backend.expectation(circuit, angles(weights), jnp.zeros(n, int), hamiltonian)
np.testing.assert_allclose(found, energy(weights), atol=1e-12)
print(f"{circuit.num_angles} angles, the same energy as the QNode's: {float(found):.12f}")

# %%
task = DeviceThermalTask(LatentGibbs(circuit, order=n), hamiltonian, beta, backend)
result = run(task, natural_gradient(1.0, task.metrics["bkm"]), steps=15, seed=0)
curve = result.curves["relative_entropy"][0]
print("relative entropy (nats):", ", ".join(f"{value:.1e}" for value in curve[::3]))
assert curve[-1] < 1e-2

# %% [markdown]
# The trained angles go back: inside a quantum function, `from_circuit` applies them as PennyLane's gates. The basis
# states have become eigenstates; the upper ones matter less and less, since they hardly occur at this temperature.

# %%
trained = np.asarray(result.params["angles"])


@qml.qnode(qml.device("default.qubit", wires=n))
def level(bits):
    """⟨b|U†HU|b⟩."""
    qml.BasisState(bits, wires=range(n))
    from_circuit(circuit, trained)
    return qml.expval(H)


levels = sorted(float(level(np.array(bits))) for bits in np.ndindex(*(2,) * n))
spectrum = np.linalg.eigvalsh(hamiltonian.matrix())
print("energies of the eight eigenstates:", np.round(levels, 2))
print("spectrum of H:                    ", np.round(spectrum, 2))

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
axes[0].semilogy(curve)
axes[0].set(xlabel="step", ylabel="D(ρ‖ρ_β) (nats)")
axes[1].plot(spectrum, "_", markersize=24, label="spectrum of H")
axes[1].plot(levels, "o", markersize=4, label="trained circuit")
axes[1].set(xlabel="level", ylabel="energy")
axes[1].legend(frameon=False)
plt.show()
