"""Backends: the code that runs a model, one file each, imported by the pool on first use."""
