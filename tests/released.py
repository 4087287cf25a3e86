"""Released models for parametrised tests: one of each kind is quick, the others are run by `make test-slow`."""

from collections.abc import Iterable

import pytest

from ddsp_zoo import zoo

ONE_OF_A_KIND = ("ast_ddsp_all", "umss_4v", "unet_4v", "exB2_1", "exE8", "ddsp_autoencoder_voice")


def one_of_a_kind(names: Iterable[str] = ()) -> list:
    """Returns the names, by default of all released models, those that another one stands for marked as slow."""
    chosen = names or zoo.list_models()
    return [name if name in ONE_OF_A_KIND else pytest.param(name, marks=pytest.mark.slow) for name in chosen]
