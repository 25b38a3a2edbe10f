"""The classical tasks. A module holds the spec only, and imports no array library: see `qnat.experiment.words.spec`."""
