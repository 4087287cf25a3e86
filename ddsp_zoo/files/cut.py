"""Tells whether a file of plain samples is as long as it says: libsndfile reads what there is, without a word."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal


@dataclass(frozen=True)
class Layout:
    """Describes how a format names and measures its chunks, in bytes.

    order: of a size's bytes.
    start: of the first chunk.
    name, size: lengths of a chunk's two first fields.
    counted: share of these fields in the size.
    align: chunks begin at multiples of it.
    """

    order: Literal["little", "big"]
    start: int = 12
    name: int = 4
    size: int = 4
    counted: int = 0
    align: int = 2


SUN = b".snd"  # has no chunks: where the samples begin, then their size
WAVE64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
LAYOUTS = {
    b"RIFF": Layout("little"),
    b"RF64": Layout("little"),
    b"BW64": Layout("little"),
    b"RIFX": Layout("big"),
    b"FORM": Layout("big"),
    WAVE64: Layout("little", start=40, name=16, size=8, counted=24, align=8),
}
AUDIO = (b"data", b"SSND")  # how the names of chunks with samples begin
# Sizes from here on are also what programs write that do not know how much will follow.
UNKNOWN = {4: 0x7FF00000, 8: 0x7FF0000000000000}


def missing_share(path: str | Path) -> float:
    """Returns how much audio is announced and not there, as a share of what is there; 0 for other formats."""
    path = Path(path)
    total = path.stat().st_size
    with path.open("rb") as file:
        announced = _announced(file)
        there = total - file.tell()
    return max(announced - there, 0) / max(there, 1) if announced else 0.0


def _announced(file: BinaryIO) -> int:
    """Goes to the samples and returns how many bytes of them there should be; 0 where that is not known."""
    first = file.read(16)
    if first.startswith(SUN):
        file.seek(int.from_bytes(first[4:8], "big"))
        size = int.from_bytes(first[8:12], "big")
        return size * (size < UNKNOWN[4])
    layout = LAYOUTS.get(first[:4]) or LAYOUTS.get(first)
    return _in_chunks(file, layout) if layout else 0


def _in_chunks(file: BinaryIO, layout: Layout) -> int:
    fields, long_size = layout.name + layout.size, 0
    file.seek(layout.start)
    while len(head := file.read(fields)) == fields:
        size = int.from_bytes(head[layout.name :], layout.order)
        if head.startswith(AUDIO):
            known = size < UNKNOWN[layout.size]
            return size - layout.counted if known else long_size * (size == 0xFFFFFFFF)
        end = file.tell() + size - layout.counted
        if head.startswith(b"ds64"):
            long_size = int.from_bytes(file.read(16)[8:], layout.order)
        file.seek(max(end + -end % layout.align, file.tell()))
    return 0
