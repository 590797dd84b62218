"""What can run on this device, and running it: contracts, store, backends, engine, specialists."""
