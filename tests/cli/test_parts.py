"""Words are parts: flat outside, objects inside, and what does not fit together is told by the types."""

import json
import subprocess
import sys
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from classical.tasks import optimisers as network_optimisers
from classical.tasks.boltzmann import BoltzmannSpec
from classical.tasks.network import NetworkSpec
from qnat.cli import main
from qnat.experiment import RefusedError, Run, RunSpec, Task, reading
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.store.place import standing
from qnat.experiment.sweep.plan import plan
from qnat.experiment.words import optimisers
from qnat.experiment.words.flat import choices, options
from qnat.experiment.words.parts import Only
from qnat.experiment.words.references import entries
from qnat.experiment.words.values import Rate
from qnat.experiment.words.wording import build, rebuild
from qnat.quantum.measure.counts_file import write_counts
from qnat.quantum.tasks.gibbs import GibbsSpec
from qnat.quantum.tasks.learning import LearningSpec
from qnat.quantum.tasks.sequence import SequenceSpec

FAIR = {setting: {"00": 30, "01": 20, "10": 26, "11": 24} for setting in (a + b for a in "XYZ" for b in "XYZ")}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in a folder with a Hamiltonian, counts and bits."""
    monkeypatch.chdir(tmp_path)
    write_counts("fair.json", FAIR)
    (tmp_path / "h.txt").write_text("ZZ 1\nXI 0.5\nIX 0.5\n")
    np.save("bits.npy", np.random.default_rng(0).integers(0, 2, (20, 3)).astype(float))


@pytest.mark.parametrize("name", task_names())
def test_two_parts_of_a_spec_share_no_word(name):
    spec = find_spec(name)
    words = [choice for choice, parts in choices(spec).items() if len(parts) > 1]
    words += [name for name in spec.model_fields if name not in choices(spec)]
    for parts in choices(spec).values():
        words += {option for part in parts.values() for option in part.model_fields if option != "name"}
    assert len(words) == len(set(words))
    assert set(options(spec)) == set(words)
    for option in spec.options().values():
        assert any(field.description for field in option.fields.values())
        for field in option.fields.values():
            for only in field.metadata:  # what it names exists
                assert not isinstance(only, Only) or only.choice in words


@pytest.mark.parametrize("name", task_names())
def test_every_task_says_what_it_trains(name):
    assert issubclass(find_spec(name).problem(), Task)
    with pytest.raises(NotImplementedError, match="RunSpec does not say what it trains; give trains ="):
        RunSpec.problem()


def test_words_and_parts_make_the_same_spec():
    foof = NetworkSpec(optimizer="foof", damping="0.2", batch="7")
    assert NetworkSpec(optimizer=network_optimisers.Foof(damping=0.2), batch=7) == foof
    assert (foof.damping, foof.optimizer.damping, foof.memory, foof.factored) == (0.2, 0.2, 0.95, None)
    assert foof.replaced(damping=0.5, batch=9) == NetworkSpec(optimizer="foof", damping=0.5, batch=9)
    assert NetworkSpec(optimizer="adam").learning_rate == 0.01
    with pytest.raises(AttributeError):
        foof.nothing  # noqa: B018
    with pytest.raises(RefusedError, match="damping is '-1'; it must be greater than 0"):
        build(NetworkSpec, {"damping": "-1"})
    with pytest.raises(RefusedError, match="optimizer is 3; it must be one of 'kfac', 'kfac_full'"):
        build(NetworkSpec, {"optimizer": 3})


def test_help_tells_the_defaults_of_each_part(capsys):
    with pytest.raises(SystemExit):
        main(["run", "network", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "default 0.01 (kfac, kfac_full, kld_wrm_so, kld_wrm_qe), 0.03 (foof), 10 (natural), 0.003 (kld_wrm_q)"
        in printed
    )
    assert "(optimizer kld_wrm_q, kld_wrm_qe; > 0; default 0.03)" in printed
    assert "--inverse {diagonal,tridiagonal}" in printed


class Signed(optimisers.Optimizer):
    """Steps of one length."""

    cites = ("Kingma2015",)
    name: Literal["signed"] = "signed"
    learning_rate: Rate = 0.01
    floor: Annotated[float, Field(ge=0, description="gradients below it are zero")] = 0.0

    def build(self, task):
        import jax
        import jax.numpy as jnp
        import optax

        def update(updates, state, params=None):
            return jax.tree.map(lambda g: -self.learning_rate * jnp.sign(g) * (abs(g) >= self.floor), updates), state

        return optax.with_extra_args_support(optax.GradientTransformation(lambda params: optax.EmptyState(), update))


class SignedSpec(BoltzmannSpec):
    """Learn with one more optimiser."""

    optimizer: optimisers.Natural | Signed = optimisers.Natural()


def test_an_optimiser_from_outside_is_one_member_of_the_union():
    run = SignedSpec(optimizer="signed", n=2, beta=0.5, steps=20, floor=1e-3).run()
    assert run.final["loss"] < 0.5 * run.curves["loss"][0, 0]
    assert (run.spec["optimizer"], run.spec["floor"]) == ("signed", 1e-3)
    assert "Kingma2015" in SignedSpec(optimizer="signed").citations()
    with pytest.raises(RefusedError) as caught:
        build(SignedSpec, {"optimizer": "natural", "floor": "0.1"})
    assert str(caught.value) == ("floor is not used with optimizer natural; leave it out, or choose optimizer signed.")
    folders = [
        rung.folder for rung in plan(SignedSpec, {"optimizer": ["natural", "signed"], "floor": ["0", "1"]}, None)
    ]
    assert folders == ["optimizer=natural", "optimizer=signed_floor=0.0", "optimizer=signed_floor=1.0"]


def specs():
    """One of every kind, the ones with files among them."""
    found = [find_spec(name)() for name in task_names()]
    found += [NetworkSpec(optimizer=name) for name in choices(NetworkSpec)["optimizer"]]
    found += [NetworkSpec(inverse="tridiagonal"), NetworkSpec(kind="classify", layers="c8k3-32")]
    found += [BoltzmannSpec(data="bits.npy"), find_spec("helmholtz")(optimizer="natural_adam", layers="9-8-7")]
    found += [find_spec("helmholtz")(algorithm=name) for name in ("ws", "bihm")]
    found += [GibbsSpec(optimizer=name) for name in choices(GibbsSpec)["optimizer"] if name != "mirror"]
    found += [GibbsSpec(hamiltonian="h.txt"), GibbsSpec(n=2, shots=90), GibbsSpec(trust=None, blocks="latent")]
    found += [GibbsSpec(model="gibbs", optimizer="mirror"), LearningSpec(data="fair.json")]
    found += [LearningSpec(data="shadows", pretrain="one-qubit"), LearningSpec(hamiltonian="h.txt", model="qhbm")]
    densities = [find_spec("density")(density=name) for name in choices(find_spec("density"))["density"]]
    densities += [find_spec("density")(process="natural", chart="squared"), find_spec("density")(batch=50)]
    chains = [SequenceSpec(kind="quench", data="recursive"), SequenceSpec(kind="open", trajectories=9), SequenceSpec()]
    return [*found, *densities, *chains, *(rung.spec for chain in chains for rung in chain.rungs())]


_ELSEWHERE = """
import json, sys
from qnat.experiment.words.values import Rate
from qnat.experiment.words.wording import rebuild
print(json.dumps([[rebuild(record).record() for record in json.load(sys.stdin)], "jax" in sys.modules]))
"""


def test_a_spec_is_rebuilt_from_its_words_in_another_process(tmp_path):
    known = specs()
    records = json.loads(json.dumps([spec.record() for spec in known]))
    (tmp_path / "h.txt").write_text("ZZZ 1\n")  # another one now
    (tmp_path / "fair.json").unlink()  # what it said stands in the record
    assert [rebuild(record) for record in records] == known
    program = [sys.executable, "-c", _ELSEWHERE]
    out = subprocess.run(program, input=json.dumps(records), capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == [records, False]


def test_folders_of_the_version_before_are_resumed(tmp_path):
    def folder(spec, drop, **nulls):
        record = {name: value for name, value in spec.record().items() if name not in drop}
        (tmp_path / "old").mkdir(exist_ok=True)
        document = {"task": record["task"], "status": "interrupted", "spec": record | nulls, "citations": ["Amari1998"]}
        (tmp_path / "old" / "run.json").write_text(json.dumps(document))
        return tmp_path / "old"

    # it wrote null for what was not used, no word that is younger, and of counts their digest alone
    old = folder(NetworkSpec(), {"inverse"}, clip=None, inner_steps=None)
    assert standing(old, NetworkSpec().record(), resume=True, force=False) == "unfinished"
    assert standing(old, NetworkSpec(inverse="diagonal").record(), resume=True, force=False) == "unfinished"
    with pytest.raises(RefusedError, match='its inverse is null, not "tridiagonal"'):
        standing(old, NetworkSpec(inverse="tridiagonal", factored=None).record(), resume=True, force=False)
    old = folder(LearningSpec(data="fair.json"), {"counts"}, shots=None)
    assert standing(old, LearningSpec(data="fair.json").record(), resume=True, force=False) == "unfinished"
    write_counts("fair.json", FAIR | {"ZZ": {"00": 100}})
    with pytest.raises(RefusedError, match="its counts_sha256 is"):
        standing(old, LearningSpec(data="fair.json").record(), resume=True, force=False)


@pytest.mark.slow
def test_citations_are_found_when_a_file_has_gone(tmp_path, capsys):
    LearningSpec(data="fair.json", steps=1, generators="local").run(tmp_path / "r")
    (tmp_path / "fair.json").unlink()
    assert main(["cite", "r"]) == 0
    printed = capsys.readouterr().out
    assert printed.split("\n\n")[0] == entries()["Anshu2021"]
    assert "@article{Amari1998," in printed


def test_every_citation_has_an_entry_and_every_entry_is_cited():
    cited = {key for spec in specs() for key in spec.citations()}
    parts = {part for name in task_names() for found in choices(find_spec(name)).values() for part in found.values()}
    cited |= {key for part in parts for key in part.cites}
    assert cited == set(entries())
    for key, entry in entries().items():
        assert f"{{{key},\n" in entry
        assert entry.count("{") == entry.count("}")


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    reads = []
    opened = reading.opened
    monkeypatch.setattr(reading, "opened", lambda path, *most: reads.append(str(path)) or opened(path, *most))
    rungs = plan(LearningSpec, {"data": ["fair.json"], "seed": ["1", "2", "3"]}, None)
    assert reads.count("fair.json") == 1
    write_counts("fair.json", {"ZZ": {"00": 3, "11": 4}})
    changed = LearningSpec(data="fair.json")
    assert changed.counts == {"ZZ": {"00": 3, "11": 4}} != rungs[0].spec.counts == FAIR


@pytest.mark.slow
def test_correlations_of_neighbouring_layers_train_a_network(capsys):
    given = ["run", "network", "--layers", "8-4-8", "--steps", "20", "--every", "20", "--batch", "200", "--json"]
    losses = {}
    for inverse in ("diagonal", "tridiagonal"):
        assert main([*given, "--inverse", inverse, "--out", inverse]) == 0
        losses[inverse] = json.loads(capsys.readouterr().out)["train_loss"]
        first = Run.load(inverse).curves["train_loss"][0, 0]
        assert losses[inverse] < 0.8 * first
    assert losses["diagonal"] != losses["tridiagonal"]
    assert Run.load("tridiagonal").spec["inverse"] == "tridiagonal"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "exact"}, "metric exact is not used with inverse tridiagonal; choose sampled or empirical."),
        ({"factored": "false"}, "factored is not used with inverse tridiagonal; leave it out, or choose inverse diag"),
        ({"metric_items": "9"}, "metric_items is not used with inverse tridiagonal; leave it out, or choose inverse"),
        ({"layers": "c8k3-8-64"}, "inverse tridiagonal is one of dense layers; choose diagonal, or leave convolutions"),
        ({"optimizer": "foof"}, "inverse is not used with optimizer foof; leave it out, or choose optimizer kfac."),
    ],
)
def test_what_has_no_meaning_with_neighbouring_layers_is_refused(values, message):
    with pytest.raises(RefusedError) as caught:
        build(NetworkSpec, {"inverse": "tridiagonal", **values})
    assert message in str(caught.value)


def test_a_part_is_taken_for_what_it_is():
    from classical.tasks import optimisers as own
    from classical.tasks.network import NetworkSpec
    from qnat.experiment.words import optimisers as shared

    with pytest.raises(ValidationError, match=r"words\.optimisers\.Adam; give a classical\.tasks\.optimisers\.Adam\."):
        NetworkSpec(optimizer=shared.Adam())
    with pytest.raises(ValidationError, match="damping is given beside optimizer and in it; give it once"):
        NetworkSpec(optimizer=own.Foof(damping=0.2), damping=0.5)
    spec = NetworkSpec(optimizer=own.Foof(damping=0.2), memory=0.5)
    assert (spec.damping, spec.memory) == (0.2, 0.5)
    assert NetworkSpec(**spec.model_dump()) == spec
    assert NetworkSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("words", [{"optimizer": "adam"}, {"clip": 1.0}, {"nosuch": 3}])
def test_only_words_in_use_are_replaced(words):
    from classical.tasks.network import NetworkSpec

    assert NetworkSpec().replaced(damping=0.5).damping == 0.5
    with pytest.raises(ValueError, match="is no option in use of this spec"):
        NetworkSpec().replaced(**words)
