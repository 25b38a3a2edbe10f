"""The other chart of a mirror map as a mirror map of its own."""

from jaxtyping import Array, Float, PyTree

from .mirror import AbstractMirrorMap, pairing


class Dual(AbstractMirrorMap):
    """ψ*(η) = ⟨θ, η⟩ − ψ(θ) at ∇ψ(θ) = η, the convex conjugate: the same charts, exchanged.

    Of an exponential family it is minus the entropy, up to E[log h]; its Hessian is the inverse of the Fisher metric,
    and mirror descent with it on expectations is natural-gradient variational inference. The dual of a dual acts as the
    map itself.

    Attributes:
        mirror: the map of ψ.
    """

    mirror: AbstractMirrorMap

    def potential(self, theta: PyTree[Array]) -> Float[Array, ""]:
        primal = self.mirror.to_primal(theta)
        return pairing(primal, theta) - self.mirror.potential(primal)

    def to_dual(self, theta: PyTree[Array]) -> PyTree[Array]:
        return self.mirror.to_primal(theta)

    def to_primal(self, eta: PyTree[Array]) -> PyTree[Array]:
        return self.mirror.to_dual(eta)

    def retract(self, theta: PyTree[Array], step: PyTree[Array]) -> PyTree[Array]:
        return self.mirror.retract_dual(theta, step)

    def retract_dual(self, eta: PyTree[Array], step: PyTree[Array]) -> PyTree[Array]:
        return self.mirror.retract(eta, step)
