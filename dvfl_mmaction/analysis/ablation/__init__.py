"""Train a config over a grid of settings and seeds, and compare them."""
