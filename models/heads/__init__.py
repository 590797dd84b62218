"""Heads: small classifiers over an encoder's vectors, fitted beforehand, each a `.npz` with a `.json` beside it."""
