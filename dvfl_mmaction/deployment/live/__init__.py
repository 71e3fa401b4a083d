"""Classify live streams and long recordings."""
