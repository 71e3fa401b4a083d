"""The published layout of each data set, read into lists of clips."""
