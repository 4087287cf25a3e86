"""Synthesisers: each declares its controls, constrains raw network outputs to them and renders audio."""
