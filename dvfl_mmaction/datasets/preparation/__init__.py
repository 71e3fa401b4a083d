"""From a data set's official archives to lists of clips."""
