"""Preparation of data sets: official archives to lists of clips."""

from .catalogue import CATALOGUE
from .prepare import Prepared, prepare

__all__ = ['CATALOGUE', 'Prepared', 'prepare']
