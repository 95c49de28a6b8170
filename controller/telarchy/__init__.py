"""Telarchy keeps a media fleet the way its owner wrote it down."""

__version__ = "0.1.0"
