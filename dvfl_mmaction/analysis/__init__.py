"""The work behind ``tools/``: what came of a run, told."""
