"""Specialists that an owner makes from examples: reading them, fitting, measuring, keeping."""
