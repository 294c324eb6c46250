"""Training of a OneGen linker: recipes, examples, objective, negatives, the loop. Needs the `train` extra."""
