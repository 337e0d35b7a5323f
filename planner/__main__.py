"""`python -m planner`."""

from planner.cli.app import command

command()
