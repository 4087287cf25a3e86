"""Controls after a separation: checked, saved, loaded and played again."""
