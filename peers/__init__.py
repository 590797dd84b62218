"""Other devices, and what may leave this one."""
