"""Weights in and out: layouts, their key maps, and conversion."""
