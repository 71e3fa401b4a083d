"""Complexity, benchmarks, tables and pictures: the work behind ``tools/``."""

from .validation_pictures_hook import ValidationPicturesHook

__all__ = ['ValidationPicturesHook']
