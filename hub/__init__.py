"""Leaving the home: an optional, replaceable place for what needs deep reasoning."""
