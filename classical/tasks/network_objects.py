"""The task and the optimiser that a NetworkSpec describes."""

import functools
import math
from typing import Any

import optax

from qnat.experiment.task import Task
from qnat.geometry.families import AbstractExponentialFamily, Bernoulli, Categorical, Normal
from qnat.geometry.kronecker import factored_inverse
from qnat.geometry.structured import exact_inverse
from qnat.inference.process import Process
from qnat.optim import natural_gradient, with_rate
from qnat.optim.rate import chain
from qnat.optim.running import scale_by_running_metric

from ..methods.entropy_sgd import entropy_sgd
from ..methods.fisher import KroneckerFisher, OuterProductFisher, Targets
from ..methods.kfac import kfac
from ..methods.kld_wrm import kld_wrm_q, kld_wrm_so
from ..models.network import Layer, Network
from ..problems.network import NetworkTask
from .network import NetworkSpec

_FAMILIES: dict[str, AbstractExponentialFamily] = {
    "autoencode": Bernoulli(),
    "classify": Categorical(),
    "regress": Normal(),
}
_TARGETS: dict[str, Targets] = {"sampled": "sampled", "exact": "exact", "empirical": "data"}
# made once: a jitted loop knows a transform by its identity
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_trace = functools.cache(optax.trace)
# optax.lars and optax.lamb without decay; biases are the last columns of the matrices, so that no vector needs a mask
_LARS = optax.chain(optax.scale_by_trust_ratio(trust_coefficient=1e-3), optax.trace(0.9))
_LAMB = optax.chain(optax.scale_by_adam(eps=1e-6), optax.scale_by_trust_ratio())


def _given(value: Any) -> Any:
    assert value is not None  # the spec fills in what its optimiser uses
    return value


def task(spec: NetworkSpec) -> NetworkTask:
    """The loss of the network on the data."""
    pairs, hidden = spec.pairs(), spec.hidden
    width = pairs.x.shape[1]
    side = math.isqrt(width)
    code = min(layer.units for layer in hidden) if spec.kind == "autoencode" else 0
    layers = [
        Layer(layer.units, "linear" if layer.units == code else spec.activation, layer.kernel, layer.stride)
        for layer in hidden
    ]
    network = Network(
        width if hidden[0].kernel is None else (1, side, side),
        (*layers, Layer(pairs.y.shape[1], "linear")),
        _FAMILIES[spec.kind],
    )
    return NetworkTask(network, pairs.x, pairs.y, pairs.test_x, pairs.test_y, batch=spec.batch)


def transform(spec: NetworkSpec, task: Task) -> optax.GradientTransformation | Process:
    """The optimiser, its numbers traced but for optax's own momentum."""
    assert isinstance(task, NetworkTask)
    name = spec.optimizer
    if name == "kfac_full":
        metric = _kronecker(spec, task.network)
        return kfac(metric, damping=_given(spec.damping), refresh=_given(spec.refresh))
    rate = _given(spec.learning_rate)
    if name in ("kfac", "foof"):
        # momentum of gradients, not of directions: an old direction belongs to an inverse that is gone
        return with_rate(chain(_trace(_given(spec.momentum)), _direction(spec, task.network)), rate)
    if name.startswith("kld_wrm"):
        return _kld_wrm(spec, task.network, rate)
    if name == "natural":
        fisher = OuterProductFisher(task.network, "data" if spec.metric == "empirical" else "sampled")
        damping = _given(spec.damping)
        return natural_gradient(rate, fisher, damping=damping, trust=None, box=None, accept=None)
    if name == "entropy_sgd":
        return entropy_sgd(
            task.value_and_grad,
            rate,
            inner_steps=_given(spec.inner_steps),
            gamma=_given(spec.scope),
            noise=_given(spec.noise),
        )
    if name == "sgd":
        return with_rate(_trace(_given(spec.momentum)), rate)
    return with_rate({"adam": _ADAM, "lars": _LARS, "lamb": _LAMB}[name], rate)


def _kronecker(spec: NetworkSpec, network: Network) -> KroneckerFisher:
    if spec.optimizer == "foof":
        return KroneckerFisher(network, outputs=False, items=spec.metric_items)
    return KroneckerFisher(network, _TARGETS[_given(spec.metric)], items=spec.metric_items)


def _direction(spec: NetworkSpec, network: Network) -> optax.GradientTransformation:
    """The gradient, preconditioned by the averaged Fisher matrix."""
    return scale_by_running_metric(
        _kronecker(spec, network),
        damping=_given(spec.damping),
        memory=_given(spec.memory),
        refresh=_given(spec.refresh),
        inverter=factored_inverse if spec.factored else exact_inverse,
    )


def _kld_wrm(spec: NetworkSpec, network: Network, rate: float) -> optax.GradientTransformation:
    metric = _kronecker(spec, network)
    rho, damping = _given(spec.memory), _given(spec.damping)
    if spec.optimizer == "kld_wrm_so":
        return kld_wrm_so(rate, metric, rho=rho, damping=damping, refresh=_given(spec.refresh))
    refined = network if spec.optimizer == "kld_wrm_qe" else None
    return kld_wrm_q(rate, metric, rho=rho, damping=damping, clip=_given(spec.clip), network=refined)
