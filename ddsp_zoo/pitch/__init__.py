"""Where f0 and onsets come from."""
