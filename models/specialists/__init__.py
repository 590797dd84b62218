"""Specialists: one file for the code that a kind needs, one TOML file for each spec."""
