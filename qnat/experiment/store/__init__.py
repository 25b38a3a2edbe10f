"""The folder of a run: files that a crash cannot tear, checkpoints, results."""
