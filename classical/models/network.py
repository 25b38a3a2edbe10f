"""Feed-forward networks as plain functions of their weights, with taps on every layer."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.families import AbstractExponentialFamily

Weights = list[Float[Array, "out in"]]
Signals = list[Float[Array, "N *T out"]]
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda s: s,
}


class Layer(NamedTuple):
    """s = W [a; 1], then an activation.

    Attributes:
        units: length of s, or its channels.
        activation: "tanh", "relu", "sigmoid" or "linear".
        kernel: side of the square patches that a convolution multiplies with W; None for a dense layer.
        stride: step from patch to patch; there is no padding.
    """

    units: int
    activation: str = "tanh"
    kernel: int | None = None
    stride: int = 1


class Taps(NamedTuple):
    """A forward pass, with what a Fisher matrix of its layers needs.

    Attributes:
        outputs: (N, K) natural parameters of the output distribution.
        features: [a; 1] of every layer, (N, in), of a convolution (N, T, in) for T patches.
        pull: cotangents (N, K) of the outputs ↦ those of every s, (N, out) or (N, T, out), item by item.
    """

    outputs: Float[Array, "N K"]
    features: list[Float[Array, "N *T in"]]
    pull: Callable[[Float[Array, "N K"]], Signals]


class Network(eqx.Module):
    """x ↦ θ(x), the natural parameters of a distribution of the target; weights are (out, in + 1), biases last.

    Attributes:
        inputs: D, or (channels, rows, columns) of a picture, whose items are flat.
        layers: from the input to the output.
        family: of the target: `Categorical` classifies, `Bernoulli` models bits, `Normal` is least squares.
    """

    inputs: int | tuple[int, int, int] = eqx.field(static=True)
    layers: tuple[Layer, ...] = eqx.field(static=True)
    family: AbstractExponentialFamily

    def __check_init__(self) -> None:
        if unknown := [layer.activation for layer in self.layers if layer.activation not in _ACTIVATIONS]:
            raise ValueError(f"Unknown activation '{unknown[0]}'; use one of {', '.join(_ACTIVATIONS)}.")
        if not self.layers or self.layers[-1].kernel is not None:
            raise ValueError("A network ends in a dense layer.")
        self._shapes()

    @property
    def width(self) -> int:
        """How many values an item has."""
        return self.inputs if isinstance(self.inputs, int) else math.prod(self.inputs)

    def _shapes(self) -> list[tuple[int, int]]:
        """(out, in + 1) of every layer."""
        shape = self.inputs
        found = []
        for layer in self.layers:
            if layer.kernel is None:
                width = shape if isinstance(shape, int) else shape[0] * shape[1] * shape[2]
                found.append((layer.units, width + 1))
                shape = layer.units
                continue
            if isinstance(shape, int):
                raise ValueError("A convolution needs a picture; give inputs as (channels, rows, columns).")
            channels, *sides = shape
            if min(sides) < layer.kernel:
                raise ValueError(f"A patch of side {layer.kernel} does not fit into {sides[0]} x {sides[1]}.")
            found.append((layer.units, channels * layer.kernel**2 + 1))
            rows, columns = ((side - layer.kernel) // layer.stride + 1 for side in sides)
            shape = (layer.units, rows, columns)
        return found

    @eqx.filter_jit
    def init(self, key: PRNGKeyArray) -> Weights:
        """Normal weights of variance 2/(in + out), biases zero. Reference: X. Glorot, Y. Bengio, AISTATS 2010."""
        shapes = self._shapes()
        keys = jax.random.split(key, len(shapes))

        def one(key: PRNGKeyArray, out: int, width: int) -> Array:
            weights = jnp.sqrt(2 / (out + width - 1)) * jax.random.normal(key, (out, width))
            return weights.at[:, -1].set(0.0)

        return [one(key, *shape) for key, shape in zip(keys, shapes, strict=True)]

    def _forward(
        self, weights: Weights, x: Float[Array, "N D"], taps: Sequence[Array] | None = None
    ) -> tuple[Float[Array, "N K"], list[Array]]:
        """The outputs and the features; `taps` are added to every s."""
        a = x if isinstance(self.inputs, int) else x.reshape(len(x), *self.inputs)
        features = []
        for index, (layer, w) in enumerate(zip(self.layers, weights, strict=True)):
            patches = a.reshape(len(a), -1) if layer.kernel is None else _patches(a, layer.kernel, layer.stride)
            features.append(jnp.concatenate([patches, jnp.ones_like(patches[..., :1])], axis=-1))
            s = features[-1] @ w.T
            if taps is not None:
                s = s + taps[index]
            activated = _ACTIVATIONS[layer.activation](s)
            a = activated if layer.kernel is None else _picture(activated, a.shape, layer.kernel, layer.stride)
        return a, features

    def __call__(self, weights: Weights, x: Float[Array, "N D"]) -> Float[Array, "N K"]:
        """Natural parameters of the target of every item."""
        return self._forward(weights, x)[0]

    def taps(self, weights: Weights, x: Float[Array, "N D"]) -> Taps:
        """One forward pass, and the way back to every layer: zeros added to every s, differentiated."""
        shapes = [s.shape for s in jax.eval_shape(lambda: self._pre_activations(weights, x))]
        zeros = [jnp.zeros(shape, x.dtype) for shape in shapes]
        outputs, back, features = jax.vjp(lambda taps: self._forward(weights, x, taps), zeros, has_aux=True)
        return Taps(outputs, features, lambda cotangents: back(cotangents)[0])

    def _pre_activations(self, weights: Weights, x: Float[Array, "N D"]) -> list[Array]:
        return [a @ w.T for a, w in zip(self._forward(weights, x)[1], weights, strict=True)]

    def loss(self, weights: Weights, x: Float[Array, "N D"], y: Float[Array, "N K"]) -> Float[Array, ""]:
        """−log p(y|x), the mean over items, in nats."""
        return -jnp.mean(jax.vmap(self.family.log_prob)(self(weights, x), y))


def _patches(a: Float[Array, "N C H W"], kernel: int, stride: int) -> Float[Array, "N T in"]:
    """Every patch as a row, channel by channel."""
    found = jax.lax.conv_general_dilated_patches(a, (kernel, kernel), (stride, stride), "VALID")
    return found.reshape(*found.shape[:2], -1).swapaxes(1, 2)


def _picture(s: Float[Array, "N T C"], before: tuple[int, ...], kernel: int, stride: int) -> Float[Array, "N C H W"]:
    rows, columns = ((side - kernel) // stride + 1 for side in before[2:])
    return s.swapaxes(1, 2).reshape(len(s), -1, rows, columns)
