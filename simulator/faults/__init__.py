"""What can go wrong: named in a model's name, drawn by the seed, or ordered for the next requests."""
