"""Packs what a band is rendered from into one folder, for `train_on_gpu.py` on a machine that has nothing else.

    python tools/pack_sounds.py recipes/data/soundfont_band.yaml FOLDER --programs 0 4 16 19 48 56 61 65 73 81

packs the training sounds, scores and singing of a data recipe, and excerpts of its validation tracks. It needs
fluidsynth and everything that the recipe names. Sounds that are in the folder already are not packed again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import soundfile as sf

from ddsp_zoo.corpora import RenderedBand, make
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.processes import run_all
from ddsp_zoo.music.band.packed_sounds import pack, pack_pieces, wanted_sounds, write_ogg
from ddsp_zoo.music.band.renderer import read_piece

SINGING_SECONDS = 40.0  # of each recording
EXCERPT_SECONDS = 20.0  # of each validation track
SONG_SECONDS = 150.0  # of each recording of a guitar, and of each song
SONG_FILES = {"guitar": "guitar.ogg", "other": "song.ogg"}  # of Frets on Fire


def pack_audio(source: Path, target: Path, seconds: float, quality: float, start: float = 0.0) -> None:
    """Packs so many seconds of a recording, from a share of its length on, as mono."""
    with sf.SoundFile(source) as file:
        file.seek(round(start * file.frames))
        audio = file.read(round(seconds * file.samplerate), always_2d=True)
        write_ogg(target, audio.mean(1), file.samplerate, quality)


def pack_validation(corpus: RenderedBand, folder: Path, quality: float) -> None:
    """Renders the validation tracks of a corpus and packs the beginning of each."""
    corpus.prepare(("validation",))
    for track in corpus.tracks("validation"):
        for stem, (path, *_) in track.stems.items():
            pack_audio(path, folder / track.name / f"{stem}.ogg", EXCERPT_SECONDS, quality)


def pack_songs(songs: Path, folder: Path, validation: Sequence[str], quality: float) -> None:
    """Packs the guitar and the rest of songs; of those to validate on, an excerpt from the middle."""
    for song in sorted(songs.iterdir()):
        if song.name in validation:
            kind, seconds, start = "validation_songs", EXCERPT_SECONDS, 0.5
        else:
            kind, seconds, start = "songs", SONG_SECONDS, 0.0
        for stem, file in SONG_FILES.items():
            pack_audio(song / file, folder / kind / song.name / f"{stem}.ogg", seconds, quality, start)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Reads the arguments."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("recipe", help="of data, with class RenderedBand")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--programs", type=int, nargs="*", help="General MIDI programs that are neither bass nor guitar; all"
    )
    parser.add_argument("--guitars", type=Path, help="folder of recordings of guitars alone (FLAC, WAV, Ogg)")
    parser.add_argument(
        "--songs", type=Path, help="folder of songs, each with guitar.ogg and song.ogg, the rest"
    )
    parser.add_argument(
        "--validation-songs", nargs="*", default=[], metavar="SONG", help="those of them to validate on"
    )
    parser.add_argument("--validation-tracks", type=int, default=4)
    parser.add_argument("--rate", type=int, default=44100, help="Hz")
    parser.add_argument("--quality", type=float, default=0.3, help="of Vorbis, 0 to 1")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Packs everything."""
    options = parse(argv)
    folder, quality = options.folder, options.quality
    corpus = make(options.recipe, render_rate=options.rate, validation_tracks=options.validation_tracks)
    if not isinstance(corpus, RenderedBand):
        raise DdspZooError(
            f"{options.recipe} is no recipe of RenderedBand: give recipes/data/soundfont_band.yaml."
        )
    band = corpus.band
    wanted = wanted_sounds(band.sounds["train"], range(128) if options.programs is None else options.programs)
    jobs = [(sound, folder, options.rate, quality) for sound in wanted]
    folder.mkdir(parents=True, exist_ok=True)
    run_all(pack, jobs, options.workers, "packing sounds", "bank")
    for name, paths in (("pieces", band.pieces), ("performances", band.performances)):
        pack_pieces([read_piece(path) for path in paths["train"]], folder / f"{name}.xz")
    for path in band.sounds["train"].singing:
        pack_audio(path, folder / "singing" / f"{path.stem}.ogg", SINGING_SECONDS, quality)
    for path in sorted(options.guitars.iterdir()) if options.guitars else ():
        pack_audio(path, folder / "guitars" / f"{path.stem}.ogg", SONG_SECONDS, quality)
    if options.songs:
        pack_songs(options.songs, folder, options.validation_songs, quality)
    pack_validation(corpus, folder / "validation", quality)


if __name__ == "__main__":
    main()
