"""Metrics: each is a table of numbers a row, and a fold of that table into one figure."""
