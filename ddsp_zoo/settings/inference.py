"""Whether this process only separates, which is told by its environment so that its children know it too."""

import os

VARIABLE = "DDSP_ZOO_INFERENCE"  # 1 where nothing will be trained


def only_inference() -> bool:
    """Returns whether nothing will be trained in this process."""
    return os.environ.get(VARIABLE) == "1"


def expect_only_inference() -> None:
    """Says that nothing will be trained in this process and those that it starts, unless the environment said."""
    os.environ.setdefault(VARIABLE, "1")
