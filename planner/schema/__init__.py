"""What a profile may say: frozen pydantic records that refuse unknown keys.

Those that every command reads do without `from __future__ import annotations`: pydantic looks at each annotation, and
would compile it from its text.
"""
