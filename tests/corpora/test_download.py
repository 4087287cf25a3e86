"""What Zenodo says of an archive, and what the archive holds, are looked at before either is believed."""

import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from zenodo import Zenodo

from ddsp_zoo.corpora.download import fetch_archive
from ddsp_zoo.errors import DdspZooError

NOTHING = bytes(8_000_000)


@pytest.mark.parametrize(
    "record",
    [b"[" * 100_000, b"{", b"[]", b'{"files": 3}', b'{"files": [{"key": "a.zip"}]}', bytes(1 << 23)],
    ids=["nested", "cut", "list", "number", "half", "long"],
)
def test_a_record_that_says_nothing_of_use(
    serve_zenodo: Callable[..., Zenodo], tmp_path: Path, record: bytes
) -> None:
    serve_zenodo(1, {"a.zip": b""}).says = record
    with pytest.raises(DdspZooError, match="does not tell where a.zip is .*try again"):
        fetch_archive("1", "a.zip", tmp_path / "here")


def zipped() -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("nothing.wav", NOTHING)
    return content.getvalue()


def tarred() -> bytes:
    content, member = BytesIO(), tarfile.TarInfo("nothing.wav")
    member.size = len(NOTHING)
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(member, BytesIO(NOTHING))
    return content.getvalue()


@pytest.mark.parametrize(("name", "make"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_an_archive_that_would_fill_the_disk(
    serve_zenodo: Callable[..., Zenodo], tmp_path: Path, name: str, make: Callable[[], bytes]
) -> None:
    serve_zenodo(1, {name: make()})
    with pytest.raises(DdspZooError, match="would unpack to .* which no archive of audio does"):
        fetch_archive("1", name, tmp_path / "here")
    assert not (tmp_path / "here").exists()
