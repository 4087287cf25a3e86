"""What tests of edits share."""

import pytest
from edits import SONGS

from ddsp_zoo import Edit, Separation


@pytest.fixture(scope="module")
def songs() -> dict[str, Separation]:
    return {source: make() for source, make in SONGS.items()}


@pytest.fixture(params=SONGS)
def edit(request: pytest.FixtureRequest, songs: dict[str, Separation]) -> Edit:
    return songs[request.param].edit(request.param)
