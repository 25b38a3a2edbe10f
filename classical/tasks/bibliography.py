"""BibTeX entries of what a classical run uses, by key."""

from qnat.experiment.words.bibliography import SHARED

ENTRIES = SHARED | {
    "Varady2022": """@article{Varady2022,
  title = {Natural reweighted wake--sleep},
  author = {V{\\'a}rady, Csongor and Volpi, Riccardo and Malag{\\`o}, Luigi and Ay, Nihat},
  journal = {Neural Networks},
  volume = {155},
  pages = {574--591},
  year = {2022},
  eprint = {2008.06687},
  archiveprefix = {arXiv}
}""",
    "Bornschein2015": """@inproceedings{Bornschein2015,
  title = {Reweighted Wake-Sleep},
  author = {Bornschein, J{\\"o}rg and Bengio, Yoshua},
  booktitle = {International Conference on Learning Representations},
  year = {2015},
  eprint = {1406.2751},
  archiveprefix = {arXiv}
}""",
    "Bornschein2016": """@inproceedings{Bornschein2016,
  title = {Bidirectional {Helmholtz} Machines},
  author = {Bornschein, J{\\"o}rg and Shabanian, Samira and Fischer, Asja and Bengio, Yoshua},
  booktitle = {International Conference on Machine Learning},
  year = {2016},
  eprint = {1506.03877},
  archiveprefix = {arXiv}
}""",
    "Hinton1995": """@article{Hinton1995,
  title = {The ``wake-sleep'' algorithm for unsupervised neural networks},
  author = {Hinton, Geoffrey E. and Dayan, Peter and Frey, Brendan J. and Neal, Radford M.},
  journal = {Science},
  volume = {268},
  pages = {1158--1161},
  year = {1995},
  doi = {10.1126/science.7761831}
}""",
    "Dayan1995": """@article{Dayan1995,
  title = {The {Helmholtz} machine},
  author = {Dayan, Peter and Hinton, Geoffrey E. and Neal, Radford M. and Zemel, Richard S.},
  journal = {Neural Computation},
  volume = {7},
  pages = {889--904},
  year = {1995},
  doi = {10.1162/neco.1995.7.5.889}
}""",
    "Martens2015": """@inproceedings{Martens2015,
  title = {Optimizing Neural Networks with {Kronecker}-factored Approximate Curvature},
  author = {Martens, James and Grosse, Roger},
  booktitle = {International Conference on Machine Learning},
  year = {2015},
  eprint = {1503.05671},
  archiveprefix = {arXiv}
}""",
    "Grosse2016": """@inproceedings{Grosse2016,
  title = {A {Kronecker}-factored approximate {Fisher} matrix for convolution layers},
  author = {Grosse, Roger and Martens, James},
  booktitle = {International Conference on Machine Learning},
  year = {2016},
  eprint = {1602.01407},
  archiveprefix = {arXiv}
}""",
    "Benzing2022": """@inproceedings{Benzing2022,
  title = {Gradient Descent on Neurons and its Link to Approximate Second-order Optimization},
  author = {Benzing, Frederik},
  booktitle = {International Conference on Machine Learning},
  year = {2022},
  eprint = {2201.12250},
  archiveprefix = {arXiv}
}""",
    "Puiu2022": """@inproceedings{Puiu2022,
  title = {Rethinking Exponential Averaging of the {Fisher}},
  author = {Puiu, Constantin Octavian},
  booktitle = {Machine Learning and Knowledge Discovery in Databases ({ECML} {PKDD})},
  year = {2022},
  eprint = {2204.04718},
  archiveprefix = {arXiv}
}""",
    "Chaudhari2017": """@inproceedings{Chaudhari2017,
  title = {Entropy-{SGD}: Biasing Gradient Descent Into Wide Valleys},
  author = {Chaudhari, Pratik and Choromanska, Anna and Soatto, Stefano and LeCun, Yann and Baldassi, Carlo and Borgs, Christian and Chayes, Jennifer and Sagun, Levent and Zecchina, Riccardo},
  booktitle = {International Conference on Learning Representations},
  year = {2017},
  eprint = {1611.01838},
  archiveprefix = {arXiv}
}""",  # noqa: E501
    "You2017": """@misc{You2017,
  title = {Large Batch Training of Convolutional Networks},
  author = {You, Yang and Gitman, Igor and Ginsburg, Boris},
  year = {2017},
  eprint = {1708.03888},
  archiveprefix = {arXiv}
}""",
    "You2020": """@inproceedings{You2020,
  title = {Large Batch Optimization for Deep Learning: Training {BERT} in 76 minutes},
  author = {You, Yang and Li, Jing and Reddi, Sashank and Hseu, Jonathan and Kumar, Sanjiv and Bhojanapalli, Srinadh and Song, Xiaodan and Demmel, James and Keutzer, Kurt and Hsieh, Cho-Jui},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
  eprint = {1904.00962},
  archiveprefix = {arXiv}
}""",  # noqa: E501
    "Ackley1985": """@article{Ackley1985,
  title = {A learning algorithm for {Boltzmann} machines},
  author = {Ackley, David H. and Hinton, Geoffrey E. and Sejnowski, Terrence J.},
  journal = {Cognitive Science},
  volume = {9},
  pages = {147--169},
  year = {1985},
  doi = {10.1207/s15516709cog0901_7}
}""",
}

_USED = {
    "kfac": ("Martens2015",),
    "kfac_full": ("Martens2015",),
    "convolutions": ("Grosse2016",),
    "foof": ("Benzing2022",),
    "natural": ("Amari1998",),
    "kld_wrm_so": ("Puiu2022", "Martens2015"),
    "kld_wrm_q": ("Puiu2022", "Martens2015"),
    "kld_wrm_qe": ("Puiu2022", "Martens2015"),
    "adam": ("Kingma2015",),
    "lars": ("You2017",),
    "lamb": ("You2020",),
    "entropy_sgd": ("Chaudhari2017",),
    "mirror": ("Raskutti2013",),
    "boltzmann": ("Ackley1985",),
    "helmholtz": ("Dayan1995",),
    "natural_helmholtz": ("Varady2022",),
    "ws": ("Hinton1995",),
    "rws": ("Bornschein2015",),
    "bihm": ("Bornschein2016",),
}


def entries(*parts: str) -> dict[str, str]:
    """The entries behind the parts of a run: optimisers, algorithms, models."""
    keys = dict.fromkeys(key for part in parts for key in _USED.get(part, ()))
    return {key: ENTRIES[key] for key in (*keys, "Bradbury2018")}
