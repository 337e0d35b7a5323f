"""The cluster a run needs, from Python: the functions behind `planner size` under their documented name."""

from planner.questions.size import SizeAnswer, SizeQuestion, ask_size, size

__all__ = ["SizeAnswer", "SizeQuestion", "ask_size", "size"]
