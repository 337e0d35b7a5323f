"""Frameworks too large to be installed with the others: each in an environment of its own, only where one is named."""
