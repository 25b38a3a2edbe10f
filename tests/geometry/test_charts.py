"""Charts: the law passes those that are, and catches those that are not; what is pulled back is the metric there."""

from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import AbstractChart, AbstractMetric, PullbackMetric, laws, pulled
from qnat.geometry.operators import psd_operator

HERE = np.array([0.7, 2.1])


class Polar(AbstractChart):
    """Radius and angle of a point of the plane; the attributes break it."""

    scale: float = 1.0
    shift: float = 0.0
    turns: float = 1.0

    def to_point(self, coordinates):
        radius, angle = coordinates[0], jnp.where(self.turns == 0, 2 * coordinates[0], coordinates[1])
        return {"xy": radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])}

    def from_point(self, point):
        x, y = point["xy"]
        return jnp.stack([self.scale * jnp.hypot(x, y), jnp.arctan2(y, x)])

    def project(self, coordinates):
        return coordinates.at[0].set(jnp.maximum(coordinates[0], 0.1) + self.shift)


class Lists(Polar):
    def from_point(self, point):
        return list(super().from_point(point))


class Weighed(AbstractMetric):
    """The batch times the Euclidean metric of one of two, by the key."""

    def at(self, params: Any, batch: Any = None, *, key: Any = None) -> lx.AbstractLinearOperator:
        factor = batch * (1 + jax.random.uniform(key))
        return psd_operator(lambda v: jax.tree.map(lambda leaf: factor * leaf, v), params)

    def passes(self, batch: Any = None) -> float:
        return 3.0


def curved(to_point):
    """A metric that is not flat: that of (x, y) ↦ (eˣ, xy)."""

    def fn(x):
        a, b = to_point(x)["xy"]
        return jnp.stack([jnp.exp(a), a * b])

    return PullbackMetric(fn, lambda _, tangent: tangent)


@pytest.mark.parametrize(
    "dtype", [pytest.param(np.float32, id="float32", marks=pytest.mark.slow), pytest.param(np.float64, id="float64")]
)
@pytest.mark.parametrize("in_chart", [None, curved], ids=["flat", "curved"])
def test_polar_coordinates_are_a_chart(in_chart, dtype):
    laws.check_chart(Polar(), jnp.asarray(HERE.astype(dtype)), in_chart=in_chart)


@pytest.mark.parametrize(
    ("chart", "sentence"),
    [
        (Polar(scale=1.01), r"from_point\(to_point\(c\)\) must be c"),
        (Polar(shift=1e-6), "project must leave"),
        (Polar(turns=0.0), "full rank; its least singular value is 0,"),
        (Lists(), "from_point must give coordinates"),
    ],
    ids=["from_point", "project", "rank", "structure"],
)
def test_what_is_no_chart_is_caught(chart, sentence):
    with pytest.raises(AssertionError, match=sentence):
        laws.check_chart(chart, jnp.asarray(HERE))


def test_coordinates_outside_are_said_to_be():
    with pytest.raises(AssertionError, match="may lie outside the domain"):
        laws.check_chart(Polar(), jnp.array([0.0, 1.0]))


def test_a_metric_that_is_no_tensor_is_caught():
    def of_coordinates(to_point):
        return PullbackMetric(lambda x: x, lambda _, tangent: tangent)

    with pytest.raises(AssertionError, match="the metric must be JᵀGJ; it differs by"):
        laws.check_chart(Polar(), jnp.asarray(HERE), in_chart=of_coordinates)


def test_the_batch_and_the_key_reach_the_metric():
    key = jax.random.key(0)

    @jax.jit
    def matrices(c):
        found = pulled(Weighed(), Polar()).at(c, 5.0, key=key).as_matrix()
        return found, 5.0 * (1 + jax.random.uniform(key)) * jnp.diag(jnp.stack([jnp.ones(()), c[0] ** 2]))

    np.testing.assert_allclose(*matrices(HERE), rtol=1e-14, atol=1e-15)
    assert pulled(Weighed(), Polar()).passes() == 3.0


def test_a_metric_of_complex_coordinates_is_refused():
    with pytest.raises(ValueError, match="metric of real parameters"):
        pulled(curved(lambda x: x), Polar()).at(jnp.asarray(HERE + 0j))
