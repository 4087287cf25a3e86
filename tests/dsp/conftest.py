"""What the tests of several primitives share."""

import pytest

from ddsp_zoo.dsp import compiled


@pytest.fixture(params=["kernel", "tensors"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test twice: compiled, and as on a machine without numba."""
    if request.param == "tensors":
        monkeypatch.setattr(compiled, "AVAILABLE", False)
    elif not compiled.AVAILABLE:
        pytest.skip("numba is not installed")
    return request.param
