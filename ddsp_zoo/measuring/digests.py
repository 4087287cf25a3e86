"""Digests of models and tracks: whether two evaluations would measure the same."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora.base import Track


def digest_of_model(model: Any) -> str:
    """Returns a digest of class, settings and weights."""
    settings = sorted((name, repr(value)) for name, value in dict(model.hparams).items())
    digest = hashlib.sha256(repr((type(model).__name__, settings)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def digest_of_tracks(tracks: Sequence[Track]) -> str:
    """Returns a digest of the names and contents of all files of tracks."""
    digest = hashlib.sha256()
    for track in tracks:
        digest.update(track.name.encode())
        for path in (*(x for paths in track.stems.values() for x in paths), track.pitch):
            if path is not None and Path(path).is_file():
                digest.update(Path(path).name.encode() + Path(path).read_bytes())
    return digest.hexdigest()
