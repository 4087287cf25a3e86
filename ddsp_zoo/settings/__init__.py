"""Settings: what a config says, made into an object."""
