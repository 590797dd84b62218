"""The batching loop of one loaded language model, in a worker process of its own."""
