"""Check or pack every clip of a data set, in parallel."""
