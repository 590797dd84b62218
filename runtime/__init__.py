"""One node, assembled: routing, plans, checks, journal, traces and the ways in."""
