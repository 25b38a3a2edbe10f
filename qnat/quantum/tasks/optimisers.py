"""The optimisers that want a monotone metric or a divergence of quantum states, as parts."""

from typing import Any, Literal

from qnat.experiment.words.optimisers import Optimizer
from qnat.experiment.words.values import Damping, Metric, Rate, Trust


class Qpmd(Optimizer):
    """Mirror descent with the relative entropy, whose Hessian BKM is where its arguments coincide."""

    cites = ("Sbahi2022",)
    steps = 100
    name: Literal["qpmd"] = "qpmd"
    learning_rate: Rate = 1.0
    damping: Damping = "adaptive"
    trust: Trust = 0.3

    def build(self, task: Any) -> Any:
        from qnat.optim import proximal_newton

        return proximal_newton(self.learning_rate, task.metric("bkm"), damping=self.damping, trust=self.trust)


class Qbang(Optimizer):
    """Momentum of gradients and of metrics."""

    cites = ("Fitzek2024", "Petz1996")
    name: Literal["qbang"] = "qbang"
    learning_rate: Rate = 0.05
    metric: Metric = "bkm"

    def build(self, task: Any) -> Any:
        from qnat.optim import qbang

        return qbang(self.learning_rate, task.metric(self.metric))


class QnSpsa(Optimizer):
    """Natural gradient of a metric that differences of the divergence estimate."""

    cites = ("Gacon2021",)
    name: Literal["qn_spsa"] = "qn_spsa"
    learning_rate: Rate = 0.05

    def build(self, task: Any) -> Any:
        from qnat.optim import qn_spsa

        return qn_spsa(self.learning_rate, task.model.relative_entropy)
