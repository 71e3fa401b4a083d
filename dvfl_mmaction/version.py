"""Version of the package; ``setup.py`` reads it."""

__version__ = '0.2.0.dev0'
