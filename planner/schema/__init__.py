"""What a profile may say: frozen pydantic records that refuse unknown keys."""
