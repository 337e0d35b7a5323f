"""Reads scripts for bash without running them."""
