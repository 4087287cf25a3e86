"""Networks: features in, raw controls out. They know nothing of synthesisers beyond the size of their head."""
