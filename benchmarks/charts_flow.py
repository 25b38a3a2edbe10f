"""A picture of learning where two means meet: gradient and natural-gradient flow in two charts of a mixture.

p = 0.7 N(m₁, 1) + 0.3 N(m₂, 1) learned from its population, in (c, u) and in (c, s = u²), c the weighted mean and
u = m₂ − m₁. Writes docs/_static/charts.png; ten seconds.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from classical.methods.density_fisher import quadrature_fisher
from classical.models.known_weights import KnownWeights
from classical.models.mixture_charts import CentredMeans, SquaredMeans
from qnat.experiment.show.style import COLOURS, GREY, STYLE, WIDTH, legend_below, save_figure
from qnat.geometry import AbstractChart, pulled
from qnat.geometry.families import Normal
from qnat.inference import descend
from qnat.optim import natural_gradient, projected, with_rate

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
STEP = 0.125
GRID = np.arange(-10, 10 + STEP, STEP)[:, None]
WEIGHTS, TRUTH = np.array([0.7, 0.3]), np.array([[0.0], [1.5]])  # (c, u)
STARTS = ((-0.75, 0.15), (0.0, 0.05), (0.75, 0.15), (-0.75, 1.95), (0.75, 1.95))
MIRRORED = ((0.6, -0.3),)
OTHER = {"color": "white", "marker": "*", "mec": "black", "markersize": 12, "zorder": 7, "linestyle": "none"}
RATE, ITERATIONS = 0.5, 400
CENTRED, SQUARED = CentredMeans(WEIGHTS), SquaredMeans(WEIGHTS, np.ones(1))
MODEL = KnownWeights(Normal(), WEIGHTS)


def divergence(chart: AbstractChart, coordinates: jax.Array) -> jax.Array:
    """KL from the truth, in nats."""
    log_truth = MODEL.log_prob(CENTRED.to_point(TRUTH), GRID)
    return STEP * jnp.exp(log_truth) @ (log_truth - MODEL.log_prob(chart.to_point(coordinates), GRID))


def metric():
    """Fisher, of the means."""
    return quadrature_fisher(MODEL.log_prob, lambda _: (GRID, jnp.full(len(GRID), STEP)))


def field(chart: AbstractChart, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """KL, and minus its gradient and natural gradient, at points (n, 2) of a chart."""

    @jax.jit
    def at(points):
        def one(point):
            value, slope = jax.value_and_grad(functools.partial(divergence, chart))(point[:, None])
            return value, slope[:, 0], pulled(metric(), chart).at(point[:, None]).as_matrix()

        return jax.vmap(one)(points)

    values, slopes, matrices = map(np.asarray, at(points))
    return values, -slopes, -np.linalg.solve(matrices, slopes[:, :, None])[:, :, 0]


def path(chart: AbstractChart, natural: bool, start: tuple[float, float], iterations: int = ITERATIONS) -> np.ndarray:
    """The iterates (n, 2) in the coordinates of the chart, from a start (c, u)."""

    @jax.jit
    def walk(start):
        inner = (
            natural_gradient(RATE, pulled(metric(), chart), damping=1e-4, trust=None, box=None, accept=None)
            if natural
            else with_rate(optax.identity(), RATE)
        )
        gradient = jax.value_and_grad(functools.partial(divergence, chart))
        process = descend(lambda c, _batch, _key: gradient(c), projected(inner, chart.project))

        def step(state, _):
            return process.step(state)[0], process.params(state)[:, 0]

        return jax.lax.scan(step, process.init(chart.from_point(CENTRED.to_point(start))), None, iterations)[1]

    return np.asarray(walk(np.array(start)[:, None]))


def draw(axes: Axes, chart: AbstractChart, natural: bool, halves: list[tuple[float, float]]) -> object:
    """Streamlines coloured by how fast they fall, trajectories, and what they run to."""
    squared = isinstance(chart, SquaredMeans)
    norm, lines = LogNorm(1e-4, 1), None
    c, span = np.linspace(-1, 1, 45), halves[0][1] - min(halves)[0]
    for low, high in halves:
        second = np.linspace(low, high, 45 if squared else 1 + round(24 * (high - low)))
        points = np.stack(np.meshgrid(c, second), axis=-1)
        values, descent, step = field(chart, points.reshape(-1, 2))
        velocity = (step if natural else descent).reshape(points.shape)
        speed = np.sum(velocity * -descent.reshape(points.shape), axis=-1)  # dKL/dt
        axes.contour(
            c, second, values.reshape(points.shape[:2]), levels=np.geomspace(1e-4, 1, 9), colors="#dcdcdc",
            linewidths=0.6, zorder=0,
        )  # fmt: skip
        lines = axes.streamplot(
            c, second, velocity[..., 0], velocity[..., 1], color=-speed, cmap="viridis", norm=norm,
            density=(1.1, 1.2 * (high - low) / span), linewidth=0.8, arrowsize=0.7,
        )  # fmt: skip
    for colour, start in zip(COLOURS[1:], STARTS + (() if squared else MIRRORED), strict=False):
        points = path(chart, natural, start)
        axes.plot(*points.T, color="white", linewidth=2.6, zorder=4)
        axes.plot(*points.T, color=colour, linewidth=1.2, marker="o", markersize=2.4, zorder=5)
        axes.plot(*points[0], color=colour, marker="s", markersize=5, mec="white", zorder=6)
    axes.axhline(0, color="black", linewidth=1.6, zorder=3)
    axes.plot(0, 1.5**2 if squared else 1.5, marker="*", color="black", mec="white", markersize=12, zorder=7)
    axes.set(xlim=(-1, 1), ylim=(min(halves)[0] if not squared else -0.15, halves[0][1]))
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.grid(visible=False)
    if not squared:
        axes.plot(*path(chart, natural=False, start=(0.0, -1.5), iterations=5000)[-1], **OTHER)
    return lines.lines


def main() -> None:
    """Draws and writes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
        panels = figure.subplots(2, 2)
        for row, (natural, name) in zip(panels, ((False, "gradient descent"), (True, "natural gradient")), strict=True):
            shown = draw(row[0], CENTRED, natural, [(0.02, 2.2), (-2.0, -0.02)])
            draw(row[1], SQUARED, natural, [(0.002, 4.84)])
            row[0].set(title=f"{name} in (c, u)", xlabel="weighted mean c", ylabel="gap u = m₂ − m₁")
            row[1].set(title=f"{name} in (c, s)", xlabel="weighted mean c", ylabel="square s = u²")
        figure.colorbar(shown, ax=panels, label="−dKL/dt of the flow (nats)", shrink=0.5, aspect=30, pad=0.01)
        legend_below(
            figure,
            [
                Line2D([], [], color="black", linewidth=1.6, label="m₁ = m₂"),
                Line2D([], [], color="black", marker="*", linestyle="none", markersize=10, label="truth"),
                Line2D([], [], **OTHER | {"markersize": 10}, label="minimum of the other order"),
                Line2D([], [], color=GREY, marker="s", linestyle="none", label="start"),
                Line2D([], [], color=GREY, marker="o", markersize=2.4, label=f"iterates at rate {RATE:g}"),
            ],
        )
        save_figure(figure, ROOT / "docs" / "_static" / "charts.png")


if __name__ == "__main__":
    main()
