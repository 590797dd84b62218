"""Why an answer came out as it did: spans, where they are kept, how a person reads them."""
