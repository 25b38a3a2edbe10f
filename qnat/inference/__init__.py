"""What is inferred from draws: samplers of bits, estimates with their errors, score gradients."""
