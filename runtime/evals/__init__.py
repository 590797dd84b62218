"""Evaluation: suites as data, metrics with intervals, runs that resume, paired comparisons."""
