"""Plans as what the frameworks accept, and what people already have as plans."""
