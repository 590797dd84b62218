"""Where artifacts come from: one module a kind of source, each with a `fetch`."""
