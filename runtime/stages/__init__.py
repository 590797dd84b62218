"""Routing stages: each looks at a request and says which capability it is for, or that it does not know."""
