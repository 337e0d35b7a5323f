"""Ranks parallel training plans for a real model on a real cluster."""

__version__ = "0.1.0"
