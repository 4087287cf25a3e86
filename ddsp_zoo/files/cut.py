"""Tells whether a WAV or AIFF file is as long as its header says: libsndfile reads what there is and says nothing."""

from pathlib import Path

ORDERS = {b"RIFF": "little", b"RF64": "little", b"BW64": "little", b"RIFX": "big", b"FORM": "big"}
UNKNOWN = 0x7FF00000  # sizes from here on are also what programs write that do not know how much will follow


def missing_share(path: str | Path) -> float:
    """Returns how much audio is announced and not there, as a share of what is there; 0 for other formats."""
    path = Path(path)
    total = path.stat().st_size
    with path.open("rb") as file:
        order, long_size = ORDERS.get(file.read(12)[:4]), 0
        while order and len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], order)
            if head[:4] in (b"data", b"SSND"):
                size = long_size if size == 0xFFFFFFFF else size * (size < UNKNOWN)
                there = total - file.tell()
                return max(size - there, 0) / max(there, 1)
            if head[:4] == b"ds64":
                long_size = int.from_bytes(file.read(16)[8:], order)
                size -= 16
            file.seek(max(size + size % 2, 0), 1)
    return 0.0
