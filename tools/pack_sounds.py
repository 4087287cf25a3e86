"""Packs what a band is rendered from into one folder, for `train_on_gpu.py` on a machine that has nothing else.

    python tools/pack_sounds.py recipes/data/soundfont_band.yaml FOLDER --programs 0 4 16 19 48 56 61 65 73 81

packs the training sounds, scores and singing of a data recipe, and excerpts of its validation tracks. It needs
fluidsynth and everything that the recipe names. Sounds that are in the folder already are not packed again.
"""

import argparse
from pathlib import Path

import soundfile as sf

from ddsp_zoo.corpora import RenderedBand, make
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.processes import run_all
from ddsp_zoo.music.band.packed_sounds import pack, pack_pieces, wanted_sounds, write_ogg
from ddsp_zoo.music.band.renderer import read_piece

SINGING_SECONDS = 40.0  # of each recording
EXCERPT_SECONDS = 20.0  # of each validation track


def pack_audio(source: Path, target: Path, seconds: float, quality: float) -> None:
    """Packs the first seconds of a recording, as mono."""
    with sf.SoundFile(source) as file:
        audio = file.read(round(seconds * file.samplerate), always_2d=True)
        write_ogg(target, audio.mean(1), file.samplerate, quality)


def pack_validation(corpus: RenderedBand, folder: Path, quality: float) -> None:
    """Renders the validation tracks of a corpus and packs the beginning of each."""
    corpus.prepare(("validation",))
    for track in corpus.tracks("validation"):
        for stem, (path, *_) in track.stems.items():
            pack_audio(path, folder / track.name / f"{stem}.ogg", EXCERPT_SECONDS, quality)


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
        pack_audio(path, folder / "guitars" / f"{path.stem}.ogg", 150.0, quality)
    pack_validation(corpus, folder / "validation", quality)


if __name__ == "__main__":
    main()
