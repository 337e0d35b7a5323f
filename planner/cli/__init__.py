"""The command line."""

import os

# pydantic looks through every installed distribution for plugins before it builds its first model: a tenth of a start
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
