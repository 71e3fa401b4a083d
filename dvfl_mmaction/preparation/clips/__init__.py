"""Every clip of a data set checked or packed, in parallel."""
