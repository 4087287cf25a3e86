"""Sources of f0 and onsets: files, trackers and detectors."""
