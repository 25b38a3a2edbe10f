"""Sabotages of one line each, every one of which the everyday tests must catch: `make mutants`.

    python tests/mutants.py             # all of them
    python tests/mutants.py NAME ...    # some

A mutant is tried on a copy of the packages, first by the tests named beside it, then by all: what no test catches is a
promise that nobody keeps, and ends this program with status 1.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]


class Mutant(NamedTuple):
    """In the file `path` the text `old`, which stands there once, becomes `new`; `tests` should notice."""

    name: str
    path: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "the fidelity loses its square",
        "qnat/geometry/distances.py",
        "return _root_fidelity(K_rho, K_sigma) ** 2",
        "return _root_fidelity(K_rho, K_sigma)",
        "tests/geometry/test_distances.py",
    ),
    Mutant(
        "a Bregman divergence adds its linear part",
        "qnat/geometry/divergence.py",
        "mirror.potential(x) - mirror.potential(y) - linear",
        "mirror.potential(x) - mirror.potential(y) + linear",
        "tests/geometry",
    ),
    Mutant(
        "an imputation stands where an entry is seen",
        "classical/data/imputed.py",
        "(0, count) if missing else (count, self.x.shape[1])",
        "(count, self.x.shape[1]) if missing else (0, count)",
        "tests/classical/test_gibbs_vi.py",
    ),
    Mutant(
        "the entropy of a conditional does not know its width",
        "classical/methods/gibbs_bound.py",
        "/ 2 + jnp.log(deviation) + LOG_2PI / 2",
        "/ 2 + LOG_2PI / 2",
        "tests/classical/test_gibbs_vi.py",
    ),
    Mutant(
        "the derivative of a conditional scatters at its best",
        "classical/methods/gibbs_bound.py",
        "jax.lax.stop_gradient((mean, deviation))",
        "(mean, deviation)",
        "tests/classical/test_gibbs_vi.py",
    ),
    Mutant(
        "an entry stays in its own regression",
        "classical/models/conditionals.py",
        "slopes -= inverse *",
        "slopes -= 0 * inverse *",
        "tests/classical/test_gibbs_vi.py",
    ),
    Mutant(
        "the divergence of a conditional falls with the distance of its mean",
        "classical/methods/gibbs_bound.py",
        "- first**2 / second) / 2",
        "+ first**2 / second) / 2",
        "tests/classical/test_gibbs_vi.py",
    ),
    Mutant(
        "a density learns in the warm-up of its conditionals",
        "classical/methods/gibbs_vi.py",
        "jax.lax.cond(warm, still, climbed)",
        "jax.lax.cond(warm, climbed, climbed)",
        "tests/cli/test_density_spec.py",
    ),
    Mutant(
        "a squared gap is not squared",
        "classical/models/mixture_charts.py",
        "gaps = squares / jnp.sqrt(squares @ self.direction)[:, None]",
        "gaps = squares / (squares @ self.direction)[:, None]",
        "tests/classical/test_mixture_charts.py",
    ),
    Mutant(
        "the potential of a Gaussian adds the logarithm of its precision",
        "classical/models/gaussian_chart.py",
        "axis=1) / 2 + jnp.sum(logs, axis=1)",
        "axis=1) / 2 - jnp.sum(logs, axis=1)",
        "tests/classical/test_gaussian_charts.py",
    ),
    Mutant(
        "draws of a mixture are all from one component",
        "classical/problems/mixtures.py",
        "return means[labels] + jnp.einsum",
        "return means[0] + jnp.einsum",
        "tests/classical/test_gaussian_charts.py",
    ),
    Mutant(
        "a chunk counts by the weight that it has",
        "classical/problems/density.py",
        "weights = count * weights",
        "weights = weights / weights.sum(axis=(1, 2), keepdims=True)",
        "tests/cli/test_density_spec.py",
    ),
    Mutant(
        "rows of a prior have no width of their own",
        "classical/models/factor.py",
        "params.square[:, -1, -1] + variances",
        "variances",
        "tests/classical/test_latent_models.py",
    ),
    Mutant(
        "panels are as wide for all components",
        "classical/methods/density_fisher.py",
        "deviations[:, None] * steps",
        "deviations.max() * steps",
        "tests/classical/test_gaussian_charts.py",
    ),
    Mutant(
        "the Fisher metric forgets the density",
        "classical/methods/density_fisher.py",
        "return widths * jnp.exp(log_p) * tangent",
        "return widths * tangent",
        "tests/classical/test_mixture_charts.py",
    ),
    Mutant(
        "a pair of hidden units exchanges its output weights",
        "classical/models/unit_pairs.py",
        "out = jnp.stack([(1 - share) * sums, share * sums], axis=1).reshape(-1)",
        "out = jnp.stack([share * sums, (1 - share) * sums], axis=1).reshape(-1)",
        "tests/classical/test_unit_pairs.py",
    ),
    Mutant(
        "a trial is judged where no projection took it",
        "qnat/optim/projected.py",
        "value_fn(self.project(trial), **known)",
        "value_fn(trial, **known)",
        "tests/optim/test_projected.py",
    ),
    Mutant(
        "a chart is not asked for its rank",
        "qnat/geometry/chart_laws.py",
        "len(jacobian) >= jacobian.shape[1] and levels[-1] > 1e3 * eps,",
        "len(jacobian) >= jacobian.shape[1],",
        "tests/geometry/test_charts.py",
    ),
    Mutant(
        "the logarithmic mean drops a ½",
        "qnat/geometry/hermitian.py",
        "(x + y) / 2 + log_sinhc((x - y) / 2)",
        "(x + y) / 2 + log_sinhc(x - y)",
        "tests/geometry/test_hermitian.py",
    ),
    Mutant(
        "the SLD kernel drops a ½",
        "qnat/geometry/monotone.py",
        "return -_log_cosh(r / 2)",
        "return -_log_cosh(r)",
        "tests/geometry/test_monotone.py",
    ),
    Mutant(
        "a metric keeps the trace of its tangent",
        "qnat/geometry/state_metrics.py",
        "return rotated - mean * jnp.eye",
        "return rotated + 0 * jnp.eye",
        "tests/geometry/test_metric.py",
    ),
    Mutant(
        "Fubini–Study keeps the phase of its tangent",
        "qnat/geometry/state_metrics.py",
        "return tangent - psi * jnp.vdot(psi, tangent)",
        "return tangent",
        "tests/geometry/test_metric.py",
    ),
    Mutant(
        "a damping is not applied",
        "qnat/geometry/operators.py",
        "return Shifted(operator, jnp.asarray(damping))",
        "return Shifted(operator, 0 * jnp.asarray(damping))",
        "tests/geometry",
    ),
    Mutant(
        "the dampings of two Kronecker factors are exchanged",
        "qnat/geometry/kronecker.py",
        "shifted(operator.G, root / balance), shifted(operator.A, root * balance)",
        "shifted(operator.G, root * balance), shifted(operator.A, root / balance)",
        "tests/geometry/test_structured.py",
    ),
    Mutant(
        "conjugate gradients forget to conjugate",
        "qnat/geometry/truncated_cg.py",
        "return x, r, _axpy(new / fall, p, z), new",
        "return x, r, z, new",
        "tests/geometry/test_solvers.py",
    ),
    Mutant(
        "a fresh loss is compared with those of other draws",
        "qnat/optim/natural.py",
        '(state.step == 0) | (self.accept == "fresh")',
        "state.step == 0",
        "tests/optim/test_natural.py",
    ),
    Mutant(
        "the gradient from vectors is not quiet",
        "qnat/quantum/methods/vectors.py",
        "root * (log_p - level)",
        "root * log_p",
        "tests/quantum/test_vectors.py",
    ),
    Mutant(
        "pairs of strings and others count once in the metric",
        "qnat/quantum/methods/vector_metric.py",
        "jnp.full(log_p.size, 2.0)",
        "jnp.full(log_p.size, 1.0)",
        "tests/quantum/test_vectors.py",
    ),
    Mutant(
        "a rejected step is taken",
        "qnat/optim/natural.py",
        "change = select(accepted, change, jax.tree.map(jnp.zeros_like, change))",
        "change = select(usable, change, jax.tree.map(jnp.zeros_like, change))",
        "tests/optim/test_natural.py",
    ),
    Mutant(
        "the trust radius is not kept",
        "qnat/optim/natural.py",
        "jnp.minimum(state.radius / jnp.sqrt(curvature), self.box / largest)",
        "self.box / largest",
        "tests/optim/test_natural.py",
    ),
    Mutant(
        "the trust radius stops at a length where steps circle",
        "qnat/optim/natural.py",
        "jnp.where(poor, length / 2, grown)",
        "jnp.where(poor, jnp.maximum(length / 2, 0.03), grown)",
        "tests/optim/test_natural.py",
    ),
    Mutant(
        "a singular metric is inverted in its null space",
        "qnat/geometry/solvers.py",
        "kept = levels > rounding * jnp.max(levels)",
        "kept = levels != 0",
        "tests/geometry/test_solvers.py",
    ),
    Mutant(
        "the slope of √ρ forgets its norm",
        "qnat/geometry/distances.py",
        "real_inner(half, Y) * (half - rho)",
        "real_inner(half, Y) * 0 * (half - rho)",
        "tests/geometry/test_distances.py",
    ),
    Mutant(
        "a certain bit surprises",
        "qnat/geometry/mirror.py",
        "jnp.where(nothing, 0, a) * jnp.where(nothing, 0, b)",
        "a * b",
        "tests/geometry/test_family_borders.py",
    ),
    Mutant(
        "of two antithetic draws one knows the baseline of the other",
        "qnat/inference/expectation.py",
        "else 1 + self.antithetic",
        "else 1",
        "tests/inference/test_expectation.py",
    ),
    Mutant(
        "a variational step forgets where the mean is",
        "classical/models/gaussian_posterior.py",
        "(first - _times(family, second, mean), second)",
        "(first, second)",
        "tests/classical/test_variational.py",
    ),
    Mutant(
        "a variational step is taken however bad it is",
        "classical/methods/variational.py",
        "<= value + _GROSS)",
        "<= jnp.inf)",
        "tests/classical/test_variational.py",
    ),
    Mutant(
        "skew draws spread along their skewness as across it",
        "classical/models/shapes.py",
        "u[:, None] * a + noise - jnp.outer(noise @ a, a) / (1 + left)",
        "u[:, None] * a + noise",
        "tests/classical/test_surrogate_vi.py",
    ),
    Mutant(
        "the weights of a mixture of posteriors stay",
        "classical/methods/surrogate_vi.py",
        "self.rate * (values - value)",
        "0 * (values - value)",
        "tests/classical/test_surrogate_vi.py",
    ),
    Mutant(
        "a day's variance is regressed on itself",
        "classical/data/volatility.py",
        "mean[MONTH - lag : -1]",
        "mean[MONTH - lag + 1 :]",
        "tests/cli/test_posterior_spec.py",
    ),
    Mutant(
        "thinned chains keep the other half of their draws",
        "qnat/inference/chains.py",
        "draws[:, 1::2]",
        "draws[:, ::2]",
        "tests/inference/test_chains.py",
    ),
    Mutant(
        "mirror descent climbs",
        "qnat/optim/mirror.py",
        "lambda g: -rate * g",
        "lambda g: rate * g",
        "tests/optim",
    ),
    Mutant(
        "a Gaussian steps out of its cone",
        "qnat/geometry/families/gaussian.py",
        "matrix + step + root.T @ root / 2",
        "matrix + step",
        "tests/geometry/test_families.py",
    ),
    Mutant(
        "log x − ψ(x) misses a term of its series",
        "qnat/geometry/families/special.py",
        "_BERNOULLI = (1 / 12, -1 / 120,",
        "_BERNOULLI = (1 / 12, 0 / 120,",
        "tests/geometry/test_family_digits.py",
    ),
    Mutant(
        "shares are solved for one by one",
        "qnat/geometry/families/simplex.py",
        "return scaled + share * jnp.sum(scaled, axis=-1, keepdims=True)",
        "return scaled",
        "tests/geometry/test_families.py",
    ),
    Mutant(
        "the derivative of the stretch of a direction forgets that the direction moves",
        "qnat/geometry/families/circular.py",
        "return stretch, -bend / (ratio**3 * (ratio + 2 * squared * bend)) * tangents[0]",
        "return stretch, -bend / ratio**4 * tangents[0]",
        "tests/geometry/test_families.py",
    ),
    Mutant(
        "a Wishart distribution loses half a degree of freedom",
        "qnat/geometry/families/wishart.py",
        "return within(inside, (excess - 1, -(excess + (d - 1) / 2) * (root.T @ root)), sentence)",
        "return within(inside, (excess - 1, -excess * (root.T @ root)), sentence)",
        "tests/geometry/test_families.py",
    ),
    Mutant(
        "the dual forgets the retraction of its map",
        "qnat/geometry/dual.py",
        "return self.mirror.retract(eta, step)",
        "return jax.tree.map(jnp.add, eta, step)",
        "tests/optim/test_laws.py",
    ),
    Mutant(
        "products with a covariance of spins are centred once",
        "qnat/geometry/spin_covariance.py",
        "walsh(weighted - self.p * jnp.sum(weighted))",
        "walsh(weighted)",
        "tests/geometry/test_spin_families.py",
    ),
    Mutant(
        "the inverse of all interactions forgets the mean",
        "qnat/geometry/spin_covariance.py",
        "(r - mean) / q",
        "r / q",
        "tests/geometry/test_spin_families.py",
    ),
    Mutant(
        "a proximal step forgets its divergence",
        "qnat/optim/proximal.py",
        "(1 - self.euclidean) * d + self.euclidean * (v - v0)",
        "0 * d + self.euclidean * (v - v0)",
        "tests/optim",
    ),
    Mutant(
        "rejections do not raise the damping",
        "qnat/optim/damping.py",
        "* 4.0 ** jnp.minimum(rejected, 6)",
        "* 1.0 ** jnp.minimum(rejected, 6)",
        "tests/optim/test_natural.py",
    ),
    Mutant(
        "a running average never forgets its start",
        "qnat/optim/running.py",
        "kept = jnp.minimum(1 - 1 / (step + 1), memory)",
        "kept = jnp.asarray(memory)",
        "tests/optim/test_running.py",
    ),
    Mutant(
        "the last update is skipped",
        "qnat/experiment/loop/step.py",
        "_choose(index < last, lambda: _strong(inner), lambda: state.inner)",
        "_choose(index + 1 < last, lambda: _strong(inner), lambda: state.inner)",
        "tests/experiment/test_loop.py",
    ),
    Mutant(
        "every step sees the same noise",
        "qnat/experiment/loop/step.py",
        "key=jax.random.fold_in(state.key, index)",
        "key=jax.random.fold_in(state.key, 0)",
        "tests/experiment",
    ),
    Mutant(
        "a resumed run sees its data from the beginning",
        "qnat/experiment/loop/step.py",
        "task.batches(jax.random.fold_in(key, _DATA), first)",
        "task.batches(jax.random.fold_in(key, _DATA), 0)",
        "tests/experiment/test_loop.py",
    ),
    Mutant(
        "qBang pays for its metric at every step",
        "qnat/optim/qbang.py",
        "state.step == 0, jnp.asarray",
        "state.step >= 0, jnp.asarray",
        "tests/optim/test_gradient_counts.py",
    ),
    Mutant(
        "the gradients of a geometry cost nothing",
        "qnat/experiment/show/cost.py",
        'steps + _spent(run, "model_gradients")',
        'steps + 0 * _spent(run, "model_gradients")',
        "tests/experiment/test_cost.py",
    ),
    Mutant(
        "what a task says that a step costs is not summed",
        "qnat/experiment/show/cost.py",
        "for name in run.costs if name in run.curves",
        "for name in () if name in run.curves",
        "tests/experiment/test_cost.py",
    ),
    Mutant(
        "a score that should be high is asked to be low",
        "qnat/experiment/show/cost.py",
        "else curve > threshold",
        "else curve < threshold",
        "tests/experiment/test_cost.py",
    ),
    Mutant(
        "any measure is taken for the gap",
        "qnat/experiment/loop/iterate.py",
        "for measure in work.job.task.measures if measure.exact",
        "for measure in work.job.task.measures",
        "tests/experiment/test_measures.py",
    ),
    Mutant(
        "noise is taken for rest",
        "qnat/experiment/trend.py",
        "np.abs(found.value) + 2 * found.error < tolerance",
        "np.abs(found.value) < tolerance",
        "tests/experiment/test_stopping.py",
    ),
    Mutant(
        "one good seed of several ends a run",
        "qnat/experiment/trend.py",
        "bool(np.all(at_most(curves, measure, step) < tolerance))",
        "bool(np.any(at_most(curves, measure, step) < tolerance))",
        "tests/experiment/test_stopping.py",
    ),
    Mutant(
        "a callback that raises loses the last chunk",
        "qnat/experiment/loop/iterate.py",
        "*(() if due else (state, first + count, spent))",
        "*()",
        "tests/experiment/test_stopping.py",
    ),
    Mutant(
        "what is finished as it is forgets its last checkpoint",
        "qnat/cli/folders.py",
        "spec.run(path, resume=True, until=lambda _: True)",
        "spec.run(path, force=True, until=lambda _: True)",
        "tests/cli/test_folders.py",
    ),
    Mutant(
        "axes lose their coordinates on the disk",
        "qnat/experiment/store/netcdf.py",
        "for dim, values in one.coords.items()",
        "for dim, values in {}.items()",
        "tests/experiment/test_measures.py",
    ),
    Mutant(
        "runs of an older version are judged by their loss",
        "qnat/experiment/show/compare.py",
        "(problem := _problem(name)) is not None",
        "(problem := _problem(name)) is None",
        "tests/experiment/test_old_runs.py",
    ),
    Mutant(
        "nobody looks at the checksum of a document",
        "qnat/experiment/store/seal.py",
        "if is_sealed(document) and document.get(SEAL) != _checksum(rest):",
        "if False:",
        "tests/experiment/test_folders.py",
    ),
    Mutant(
        "a checkpoint trusts its log",
        "qnat/experiment/store/account.py",
        "if is_sealed(meta) and length and meta",
        "if False and meta",
        "tests/experiment/test_damage.py",
    ),
    Mutant(
        "an unfinished run is shown by any log",
        "qnat/cli/folders.py",
        "check_log(path, spec)",
        "pass",
        "tests/cli/test_folders.py",
    ),
    Mutant(
        "a log is written through a hard link",
        "qnat/experiment/store/log.py",
        "st_nlink > 1",
        "st_nlink > 9",
        "tests/experiment/test_damage.py",
    ),
    Mutant(
        "every folder that has a run.json is ours",
        "qnat/experiment/store/place.py",
        'read_json(path / marker, "task")',
        "pass",
        "tests/experiment/test_folders.py",
    ),
    Mutant(
        "links in a sweep are followed",
        "qnat/experiment/store/place.py",
        "if place.is_symlink():",
        "if False:",
        "tests/experiment/test_folders.py",
    ),
    Mutant(
        "a table may name folders elsewhere",
        "qnat/experiment/store/forms.py",
        'part in ("", ".", "..")',
        'part in ("",)',
        "tests/experiment/test_folders.py",
    ),
    Mutant(
        "rotations drop their ½",
        "qnat/quantum/engine/lowering.py",
        "square, omega = acts @ acts, scale / 2",
        "square, omega = acts @ acts, scale",
        "tests/quantum/test_engine.py",
    ),
    Mutant(
        "sparse letters act one wire before theirs",
        "qnat/quantum/operators/terms.py",
        "letters[int(factor[1:])] = factor[0]",
        "letters[int(factor[1:]) - 1] = factor[0]",
        "tests/quantum/test_hamiltonian_file.py",
    ),
    Mutant(
        "a key that stands twice is passed over",
        "qnat/experiment/reading.py",
        "object_pairs_hook=_distinct",
        "object_pairs_hook=dict",
        "tests/experiment/test_reading.py",
    ),
    Mutant(
        "strings are read from the wrong end",
        "qnat/quantum/operators/pauli.py",
        'x = int("".join("1" if letter in "XY" else "0" for letter in string), 2)',
        'x = int("".join("1" if letter in "XY" else "0" for letter in string[::-1]), 2)',
        "tests/quantum/test_pauli.py",
    ),
    Mutant(
        "Y turns the other way",
        "qnat/quantum/operators/pauli.py",
        "return (-1j) ** (x & z).bit_count()",
        "return (1j) ** (x & z).bit_count()",
        "tests/quantum/test_pauli.py tests/quantum/test_counts.py",
    ),
    Mutant(
        "an Ising ferromagnet becomes an antiferromagnet",
        "qnat/quantum/operators/hamiltonians.py",
        'terms = [(string_at("ZZ", pair, n), -coupling) for pair in pairs]',
        'terms = [(string_at("ZZ", pair, n), coupling) for pair in pairs]',
        "tests/quantum/test_hamiltonians.py tests/quantum/test_exact.py",
    ),
    Mutant(
        "a doubly occupied site is paid once too often",
        "qnat/quantum/operators/hamiltonians.py",
        "chemical_potential / 2 - interaction / 4) for q",
        "chemical_potential - interaction / 4) for q",
        "tests/quantum/test_hamiltonians.py",
    ),
    Mutant(
        "a ring keeps one parity sector",
        "qnat/quantum/exact/free_fermions.py",
        "for odd in (False, True)), strict=True)",
        "for odd in (False, False)), strict=True)",
        "tests/quantum/test_free_fermions.py",
    ),
    Mutant(
        "the quantum Fisher information of a pure state loses its factor 4",
        "qnat/quantum/models/pure.py",
        "_FISHER * gram",
        "gram",
        "tests/quantum/test_pennylane.py",
    ),
    Mutant(
        "the latent gradient changes its sign",
        "qnat/quantum/models/latent.py",
        "latent_gradient(self.latent, -p * (local - value))",
        "latent_gradient(self.latent, p * (local - value))",
        "tests/quantum/test_models.py",
    ),
    Mutant(
        "depolarising noise is a third too strong",
        "qnat/quantum/models/channels.py",
        "(1 - 0.75 * p, p / 4, p / 4, p / 4)",
        "(1 - p, p / 3, p / 3, p / 3)",
        "tests/quantum/test_noisy.py",
    ),
    Mutant(
        "shifted angles weigh twice",
        "qnat/quantum/methods/shift.py",
        "((np.pi / 2, 0.5), (-np.pi / 2, -0.5))",
        "((np.pi / 2, 1.0), (-np.pi / 2, -1.0))",
        "tests/quantum/test_sampled.py",
    ),
    Mutant(
        "a shadow loses a factor 3",
        "qnat/quantum/measure/shadows.py",
        "*= 3.0 * agrees",
        "*= 1.0 * agrees",
        "tests/quantum/test_shadows.py",
    ),
    Mutant(
        "the error of learned couplings forgets half of its sandwich",
        "qnat/quantum/methods/likelihood.py",
        "return inverse @ covariance @ inverse.T",
        "return inverse @ covariance",
        "tests/quantum/test_hamiltonian_learning.py",
    ),
    Mutant(
        "K-FAC rescales without its damping",
        "classical/methods/rescaling.py",
        "tree_vdot(a, product) + damping * tree_vdot(a, b)",
        "tree_vdot(a, product)",
        "tests/classical/test_kfac.py",
    ),
    Mutant(
        "KLD-WRM has no memory",
        "classical/methods/kld_wrm.py",
        "(kept * a + (1 - kept) * b)",
        "(0 * a + b)",
        "tests/classical/test_kfac.py",
    ),
    Mutant(
        "a unit's Fisher weight drops 1 − s",
        "classical/methods/wake_sleep.py",
        "UnitBlocks(features, s * (1 - s) / len(features))",
        "UnitBlocks(features, s / len(features))",
        "tests/classical/test_helmholtz.py",
    ),
    Mutant(
        "reweighted wake–sleep does not reweight",
        "classical/methods/wake_sleep.py",
        "importance = jax.nn.softmax(log_ratios, axis=0) / len(x)",
        "importance = jax.nn.softmax(0 * log_ratios, axis=0) / len(x)",
        "tests/classical/test_helmholtz.py",
    ),
    Mutant(
        "Entropy-SGD is pushed from its centre",
        "classical/methods/entropy_sgd.py",
        "gradient - gamma * (centre - at)",
        "gradient + gamma * (centre - at)",
        "tests/classical/test_entropy_sgd.py",
    ),
    Mutant(
        "the rows of a prior make probabilities of more than 1",
        "classical/models/mixture.py",
        "jax.tree.map(lambda each: each / total, eta)",
        "eta",
        "tests/classical/test_latent_models.py",
    ),
    Mutant(
        "a negative binomial forgets that its surrogate is wider",
        "classical/models/counts.py",
        "size = shape / (1 - success)",
        "size = shape",
        "tests/classical/test_surrogate_densities.py",
    ),
    Mutant(
        "a skew-t density is skewed by Student's t of its own ν",
        "classical/models/skew.py",
        "student.log_cdf(argument, nu + d)",
        "student.log_cdf(argument, nu)",
        "tests/classical/test_surrogate_densities.py",
    ),
    Mutant(
        "the quantile of Student's t does not know how it moves with ν",
        "classical/models/student.py",
        "(du - u * slope)",
        "du",
        "tests/classical/test_surrogate_densities.py",
    ),
    Mutant(
        "a line search takes a step that is worse than none",
        "classical/methods/lengths.py",
        "return values[best] < value, lengths[best]",
        "return values[best] < jnp.inf, lengths[best]",
        "tests/classical/test_surrogates.py",
    ),
    Mutant(
        "a saddle is one wherever there is no skewness",
        "classical/models/skew.py",
        "(length < tolerance) & (2 * gap < tolerance**2)",
        "length < tolerance",
        "tests/classical/test_surrogates.py",
    ),
    Mutant(
        "a convolution counts its patches as items",
        "classical/methods/fisher.py",
        "(len(rows) if summed else len(flat))",
        "len(flat)",
        "tests/classical/test_fisher.py",
    ),
    Mutant(
        "a network has no bias",
        "classical/models/network.py",
        "jnp.concatenate([patches, jnp.ones_like(patches[..., :1])], axis=-1)",
        "jnp.concatenate([patches, jnp.zeros_like(patches[..., :1])], axis=-1)",
        "tests/classical",
    ),
    Mutant(
        "importance weights are summed, not averaged",
        "classical/models/helmholtz.py",
        "jax.nn.logsumexp(ratios, axis=0) - jnp.log(samples)",
        "jax.nn.logsumexp(ratios, axis=0)",
        "tests/classical/test_helmholtz.py",
    ),
)


def caught_by(mutant: Mutant) -> str | None:
    """The test that fails first under the mutant; None if all pass."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy = pathlib.Path(name)
        for folder in ("qnat", "classical", "tests", "benchmarks", "docs", "examples"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        for file in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / file, copy / file)
        path = copy / mutant.path
        path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        for chosen in (mutant.tests.split(), ["tests"]):
            found = _first_failure(copy, chosen)
            if found is not None:
                return found
    return None


def _first_failure(copy: pathlib.Path, chosen: list[str]) -> str | None:
    """Runs tests on a copy, which stands before the installed packages on the path, until one fails."""
    # one test reads the lines of this file in the sources, and would always notice
    itself = "--deselect=tests/test_architecture.py::test_every_mutant_changes_one_line"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-x", itself, *chosen]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    failures = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if result.returncode not in (0, 1, 5) or (result.returncode == 1) != bool(failures):  # 5: all of them are slow
        raise RuntimeError(f"pytest ended with status {result.returncode}:\n{result.stdout[-2000:]}{result.stderr}")
    return failures[0].partition(" ")[2].partition(" - ")[0] if failures else None


def main() -> int:
    """Tries the mutants, two at a time; returns 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants (default: all)")
    wanted = parser.parse_args().names
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"unknown mutant '{unknown[0]}'; the mutants are:\n  " + "\n  ".join(known))
    chosen = [known[name] for name in wanted or known]
    survivors = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for mutant, found in zip(chosen, pool.map(caught_by, chosen), strict=True):
            print(f"{'caught  ' if found else 'SURVIVES'}  {mutant.name}" + (f": {found}" if found else ""), flush=True)
            if not found:
                survivors.append(mutant.name)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
