"""Parameters of states whose names say what they are."""

from jaxtyping import Array, PyTree

from qnat.experiment.measures import Artifact
from qnat.geometry.spin_families import BoltzmannMachine

from ..models import GibbsFamily, LatentGibbs
from ..operators.pauli import PauliSum


def named_parameters(model: LatentGibbs | GibbsFamily, params: PyTree[Array]) -> dict[str, Artifact]:
    """The energies of a latent sum over sets of spins, or the θ of Pauli strings; nothing for other models."""
    if isinstance(model, LatentGibbs) and isinstance(model.latent, BoltzmannMachine):
        along = {"interaction": model.latent.names}
        return {"latent_energies": Artifact(params["latent"], ("interaction",), along, "nats", "latent energy")}
    if isinstance(model, GibbsFamily) and isinstance(model.generators, PauliSum):
        return {"theta": Artifact(params, ("generator",), {"generator": model.generators.strings}, "nats")}
    return {}
