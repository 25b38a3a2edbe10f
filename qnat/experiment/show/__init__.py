"""What a person sees of finished runs: figures, tables, comparisons."""
