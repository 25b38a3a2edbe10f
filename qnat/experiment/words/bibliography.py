"""BibTeX entries that tasks of both branches cite, by key."""

SHARED = {
    "Amari1998": """@article{Amari1998,
  title = {Natural Gradient Works Efficiently in Learning},
  author = {Amari, Shun-ichi},
  journal = {Neural Computation},
  volume = {10},
  pages = {251--276},
  year = {1998},
  doi = {10.1162/089976698300017746}
}""",
    "Kingma2015": """@inproceedings{Kingma2015,
  title = {Adam: A Method for Stochastic Optimization},
  author = {Kingma, Diederik P. and Ba, Jimmy},
  booktitle = {International Conference on Learning Representations},
  year = {2015},
  eprint = {1412.6980},
  archiveprefix = {arXiv}
}""",
    "Raskutti2013": """@misc{Raskutti2013,
  title = {The information geometry of mirror descent},
  author = {Raskutti, Garvesh and Mukherjee, Sayan},
  year = {2013},
  eprint = {1310.7780},
  archiveprefix = {arXiv}
}""",
    "Bradbury2018": """@software{Bradbury2018,
  title = {{JAX}: composable transformations of {Python}+{NumPy} programs},
  author = {Bradbury, James and Frostig, Roy and Hawkins, Peter and Johnson, Matthew James and Leary, Chris and Maclaurin, Dougal and Necula, George and Paszke, Adam and VanderPlas, Jake and Wanderman-Milne, Skye and Zhang, Qiao},
  year = {2018},
  url = {http://github.com/jax-ml/jax}
}""",  # noqa: E501
}
