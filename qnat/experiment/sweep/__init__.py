"""Many runs: planned, tuned, run, each in a folder of its own."""
