from .clip_metric import ClipMetric
from .results_hook import ResultsHook

__all__ = ['ClipMetric', 'ResultsHook']
