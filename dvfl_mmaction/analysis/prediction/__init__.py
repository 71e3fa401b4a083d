"""Predict the classes of any videos: batches, reports and pictures."""
