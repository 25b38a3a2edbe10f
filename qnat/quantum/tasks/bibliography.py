"""BibTeX entries of what a Gibbs sampling run uses, by key."""

from qnat.experiment.words.bibliography import SHARED

ENTRIES = SHARED | {
    "Sbahi2022": """@misc{Sbahi2022,
  title = {Provably efficient variational generative modeling of quantum many-body systems via quantum-probabilistic information geometry},
  author = {Sbahi, Faris M. and Martinez, Antonio J. and Patel, Sahil and Saberi, Dmitri and Yoo, Jae Hyeon and Roeder, Geoffrey and Verdon, Guillaume},
  year = {2022},
  eprint = {2206.04663},
  archiveprefix = {arXiv}
}""",  # noqa: E501
    "Verdon2019": """@misc{Verdon2019,
  title = {Quantum {Hamiltonian}-Based Models and the Variational Quantum Thermalizer Algorithm},
  author = {Verdon, Guillaume and Marks, Jacob and Nanda, Sasha and Leichenauer, Stefan and Hidary, Jack},
  year = {2019},
  eprint = {1910.02071},
  archiveprefix = {arXiv}
}""",
    "Amin2018": """@article{Amin2018,
  title = {Quantum {Boltzmann} Machine},
  author = {Amin, Mohammad H. and Andriyash, Evgeny and Rolfe, Jason and Kulchytskyy, Bohdan and Melko, Roger},
  journal = {Physical Review X},
  volume = {8},
  pages = {021050},
  year = {2018},
  doi = {10.1103/PhysRevX.8.021050}
}""",
    "Petz1996": """@article{Petz1996,
  title = {Monotone metrics on matrix spaces},
  author = {Petz, D{\\'e}nes},
  journal = {Linear Algebra and its Applications},
  volume = {244},
  pages = {81--96},
  year = {1996},
  doi = {10.1016/0024-3795(94)00211-8}
}""",
    "Fitzek2024": """@article{Fitzek2024,
  title = {Optimizing Variational Quantum Algorithms with {qBang}: Efficiently Interweaving Metric and Momentum to Navigate Flat Energy Landscapes},
  author = {Fitzek, David and Jonsson, Robert S. and Dobrautz, Werner and Sch{\\"a}fer, Christian},
  journal = {Quantum},
  volume = {8},
  pages = {1313},
  year = {2024},
  eprint = {2304.13882},
  archiveprefix = {arXiv}
}""",  # noqa: E501
    "Gacon2021": """@article{Gacon2021,
  title = {Simultaneous Perturbation Stochastic Approximation of the Quantum {Fisher} Information},
  author = {Gacon, Julien and Zoufal, Christa and Carleo, Giuseppe and Woerner, Stefan},
  journal = {Quantum},
  volume = {5},
  pages = {567},
  year = {2021},
  eprint = {2103.09232},
  archiveprefix = {arXiv}
}""",
    "Pfeuty1970": """@article{Pfeuty1970,
  title = {The one-dimensional {Ising} model with a transverse field},
  author = {Pfeuty, Pierre},
  journal = {Annals of Physics},
  volume = {57},
  pages = {79--90},
  year = {1970},
  doi = {10.1016/0003-4916(70)90270-8}
}""",
    "Anshu2021": """@article{Anshu2021,
  title = {Sample-efficient learning of interacting quantum systems},
  author = {Anshu, Anurag and Arunachalam, Srinivasan and Kuwahara, Tomotaka and Soleimanifar, Mehdi},
  journal = {Nature Physics},
  volume = {17},
  pages = {931--935},
  year = {2021},
  doi = {10.1038/s41567-021-01232-0}
}""",
    "Huang2020": """@article{Huang2020,
  title = {Predicting many properties of a quantum system from very few measurements},
  author = {Huang, Hsin-Yuan and Kueng, Richard and Preskill, John},
  journal = {Nature Physics},
  volume = {16},
  pages = {1050--1057},
  year = {2020},
  doi = {10.1038/s41567-020-0932-7}
}""",
    "Coopmans2024": """@article{Coopmans2024,
  title = {On the sample complexity of quantum {Boltzmann} machine learning},
  author = {Coopmans, Luuk and Benedetti, Marcello},
  journal = {Communications Physics},
  volume = {7},
  pages = {274},
  year = {2024},
  doi = {10.1038/s42005-024-01763-x}
}""",
    "Johansson2013": """@article{Johansson2013,
  title = {{QuTiP} 2: A {Python} framework for the dynamics of open quantum systems},
  author = {Johansson, J. R. and Nation, P. D. and Nori, Franco},
  journal = {Computer Physics Communications},
  volume = {184},
  pages = {1234--1240},
  year = {2013},
  doi = {10.1016/j.cpc.2012.11.019}
}""",
}

_OPTIMIZERS = {
    "natural": ("Amari1998", "Petz1996"),
    "qpmd": ("Sbahi2022",),
    "mirror": ("Raskutti2013",),
    "qbang": ("Fitzek2024", "Petz1996"),
    "qn_spsa": ("Gacon2021",),
    "adam": ("Kingma2015",),
    "sgd": (),
}


def entries(hamiltonian: str, model: str, optimizer: str) -> dict[str, str]:
    """The entries behind a run."""
    models = ("Sbahi2022", "Verdon2019") if model == "qhbm" else ("Amin2018",)
    physics = ("Pfeuty1970",) if hamiltonian == "tfim" else ()
    keys = dict.fromkeys((*models, *_OPTIMIZERS[optimizer], *physics, "Bradbury2018"))
    return {key: ENTRIES[key] for key in keys}
