"""Complexity, benchmarks and tables: the work behind ``tools/``."""
