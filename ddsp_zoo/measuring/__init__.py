"""Measures models: metrics, baselines and protocols. It gives numbers only; `ddsp_zoo.reports` makes pages of them."""
