"""The doors of a running node: the OpenAI-compatible API on loopback, and the owner's own on a Unix socket."""
