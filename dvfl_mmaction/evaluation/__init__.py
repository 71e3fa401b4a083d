from .clip_metric import ClipMetric
from .clip_retrieval import ClipRetrieval
from .feature_files import FeatureFiles
from .results_hook import ResultsHook

__all__ = ['ClipMetric', 'ClipRetrieval', 'FeatureFiles', 'ResultsHook']
