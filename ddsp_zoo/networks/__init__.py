"""Networks that turn features into raw controls. Of a synthesiser they know only how many controls it needs."""
