"""Controls of stems that another program has cut out of a song."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from ddsp_zoo.api.ladder import BLOCK, Progress, saved, with_progress
from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import AudioFormat
from ddsp_zoo.export.folder import left_out, made_by
from ddsp_zoo.files.audio import (
    SLACK_SECONDS,
    WHOLE,
    Excerpt,
    audio_files,
    duration_seconds,
    open_audio,
    read_blocks,
)
from ddsp_zoo.files.decoded import decoded
from ddsp_zoo.files.digest import sha256_of
from ddsp_zoo.models.given_stems import GivenStems
from ddsp_zoo.separation.blocks import resampled
from ddsp_zoo.separation.stream import maker_of, stream
from ddsp_zoo.sources import RESIDUAL


def separate_from_stems(
    song: str | Path,
    stems: str | Path,
    folder: str | Path,
    audio_format: str | AudioFormat = "wav",
    seed: int = 0,
    progress: Progress = False,
    overwrite: bool = False,
    excerpt: Excerpt = WHOLE,
    leave_out: Collection[str] = (),
) -> Path:
    """Gives the stems of a song controls, notes and synthesised sound, as if this package had cut them out.

    The folder is as that of any separation, and `ddsp_zoo.open` opens it. Stems stay as they are, but at the rate and
    with the channels of the song; the residual is what they leave of it.

    Args:
        song: the recording.
        stems: folder with one audio file for each stem, named as it is ("bass.wav"); each as long as the song.
        folder: of the result.
        audio_format: "wav", "flac", "mp3", or an `AudioFormat`.
        seed: of the synthesiser's noise.
        progress: as for `separate`.
        overwrite: also replace another result in the folder.
        excerpt: the part of song and stems that is meant.
        leave_out: as for `Separation.save`.

    Raises:
        DdspZooError: audio that cannot be used, no stems, stems of another length, and as for `save_pieces`.
    """
    with decoded(song) as audio:
        with open_audio(audio) as file:
            rate, (_, frames), channels = file.samplerate, excerpt.span(file), file.channels
        files = _stems(Path(stems), Path(song), duration_seconds(audio))
        model = GivenStems(tuple(files), rate)
        digest = sha256_of(song)
        own = {name: sha256_of(path) for name, path in files.items()}
        about = {
            "recording": Path(song).name,
            "recording_sha256": digest,
            "stems_sha256": own,
        }
        about |= made_by(maker_of(model, seed)) | excerpt.told() | AudioFormat.of(audio_format).told()
        about |= left_out(leave_out)
        readers = [read_blocks(audio, excerpt=excerpt)]
        readers += [_like_song(path, rate, channels, excerpt) for path in files.values()]
        heard = (
            np.concatenate(blocks) for blocks in zip(*(_evenly(own, frames) for own in readers), strict=True)
        )
        pieces = (
            Separation(**vars(piece) | {"recording_sha256": digest})
            for piece in stream(model, heard, rate, frames, seed=seed)
        )
        pieces = with_progress(pieces, frames / rate, Path(song).name, progress)
        options = {"made_from": about, "overwrite": overwrite}
        return saved(pieces, song, folder, model.targets, audio_format, frames, **options)


def _stems(folder: Path, song: Path, seconds: float) -> dict[str, Path]:
    """The stems in a folder by name, sorted; the song itself and what is left of it may lie beside them."""
    if not folder.is_dir():
        raise DdspZooError(
            f"There is no folder {folder}: --from-stems takes the one with the stems of {song}."
        )
    skipped = {song.stem, "mixture", RESIDUAL}
    found = [path for path in audio_files(folder) if path.stem not in skipped]
    files = {path.stem: path for path in found}
    if len(files) < len(found):
        twice = next(path for path in found if files[path.stem] != path)
        raise DdspZooError(f"{twice} and {files[twice.stem]} are stems of one name: leave one of them there.")
    if not files:
        raise DdspZooError(f"{folder} holds no stems: put bass.wav, drums.wav and so on there.")
    for path in files.values():
        if abs(own := duration_seconds(path) - seconds) > SLACK_SECONDS:
            longer = "longer" if own > 0 else "shorter"
            raise DdspZooError(
                f"{path} is {abs(own):.1f} s {longer} than {song}: stems are as long as their song."
            )
    return files


def _like_song(path: Path, rate: int, channels: int, excerpt: Excerpt) -> Iterator[np.ndarray]:
    """Blocks (channels, n) of a stem at the rate of its song; a mono song has the mean of a stem's channels."""
    with open_audio(path) as file:
        own_rate = file.samplerate
    for block in resampled(read_blocks(path, excerpt=excerpt), own_rate, rate, at_least=0):
        yield (
            block.mean(0, keepdims=True)
            if channels == 1
            else np.broadcast_to(block, (channels, block.shape[1]))
        )


def _evenly(blocks: Iterable[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    """The same audio in blocks of BLOCK samples, ``frames`` in all: what is missing at the end is silent."""
    held, left = None, frames
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= BLOCK and left > BLOCK:
            yield held[:, :BLOCK]
            held, left = held[:, BLOCK:], left - BLOCK
    yield np.pad(held[:, :left], ((0, 0), (0, max(left - held.shape[1], 0))))
