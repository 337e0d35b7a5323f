"""Predictions held against measured runs: rows of published measurements, and how far off the planner is on them."""
