"""What the JSON answers hold: every key with its type, its range and its meaning, once; docs/schemas is made of it.

Only type checkers and the documentation import these modules: a command does not.
"""
