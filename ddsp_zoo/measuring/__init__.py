"""Measuring: metrics, baselines, protocols. Numbers only; `ddsp_zoo.reports` makes pages of them."""
