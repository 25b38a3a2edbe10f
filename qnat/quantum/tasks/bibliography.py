"""BibTeX entries of what a Gibbs sampling run uses, by key."""

ENTRIES = {
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
    "Amari1998": """@article{Amari1998,
  title = {Natural Gradient Works Efficiently in Learning},
  author = {Amari, Shun-ichi},
  journal = {Neural Computation},
  volume = {10},
  pages = {251--276},
  year = {1998},
  doi = {10.1162/089976698300017746}
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
    "Raskutti2013": """@misc{Raskutti2013,
  title = {The information geometry of mirror descent},
  author = {Raskutti, Garvesh and Mukherjee, Sayan},
  year = {2013},
  eprint = {1310.7780},
  archiveprefix = {arXiv}
}""",
    "Kingma2015": """@inproceedings{Kingma2015,
  title = {Adam: A Method for Stochastic Optimization},
  author = {Kingma, Diederik P. and Ba, Jimmy},
  booktitle = {International Conference on Learning Representations},
  year = {2015},
  eprint = {1412.6980},
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
    "Bradbury2018": """@software{Bradbury2018,
  title = {{JAX}: composable transformations of {Python}+{NumPy} programs},
  author = {Bradbury, James and Frostig, Roy and Hawkins, Peter and Johnson, Matthew James and Leary, Chris and Maclaurin, Dougal and Necula, George and Paszke, Adam and VanderPlas, Jake and Wanderman-Milne, Skye and Zhang, Qiao},
  year = {2018},
  url = {http://github.com/jax-ml/jax}
}""",  # noqa: E501
}

_OPTIMIZERS = {
    "natural": ("Amari1998", "Petz1996"),
    "qpmd": ("Sbahi2022",),
    "mirror": ("Raskutti2013",),
    "adam": ("Kingma2015",),
    "sgd": (),
}


def entries(hamiltonian: str, model: str, optimizer: str) -> dict[str, str]:
    """The entries behind a run."""
    models = ("Sbahi2022", "Verdon2019") if model == "qhbm" else ("Amin2018",)
    physics = ("Pfeuty1970",) if hamiltonian == "tfim" else ()
    keys = dict.fromkeys((*models, *_OPTIMIZERS[optimizer], *physics, "Bradbury2018"))
    return {key: ENTRIES[key] for key in keys}
