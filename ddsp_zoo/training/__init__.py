"""Following a training run: `loggers` decides where numbers go, `media` adds sound and pictures."""
