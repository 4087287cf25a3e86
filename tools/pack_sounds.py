"""Packs sounds, scores and singing for `train_on_gpu.py` into a folder of some 50 MB.

    python tools/pack_sounds.py FOLDER --midi midi/freedoom --drum-midi midi/groove \\
        --bass-notes FOLDER ... --guitar-notes FOLDER ... --singing FOLDER --songs FOLDER

needs fluidsynth and the soundfonts and kits that are named below (Debian: fluid-soundfont-gm, avldrums.lv2-soundfont,
musescore-general-soundfont, csound-soundfont, hydrogen-drumkits). Those of validation and test in
recipes/data/soundfont_band.yaml are left out.
"""

import argparse
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.music.band.banks import Source
from ddsp_zoo.music.band.packed_sounds import BLOCK, Wanted, pack, pack_pieces
from ddsp_zoo.music.band.renderer import read_piece
from ddsp_zoo.music.band.scores import midi_files, split_of
from ddsp_zoo.music.soundfonts import DRUM_BANK

SF2, SF3 = Path("/usr/share/sounds/sf2"), Path("/usr/share/sounds/sf3")
FLUID, GENERAL, CSOUND = SF2 / "FluidR3_GM.sf2", SF3 / "MuseScore_General_Full.sf3", SF2 / "sf_GMbank.sf2"
BASSES, GUITARS = range(32, 40), range(24, 31)
OTHERS = {
    FLUID: (0, 1, 4, 5, 7, 11, 16, 18, 19, 21, 48, 50, 52, 56, 61, 65, 66, 73, 80, 81, 88, 90),
    GENERAL: (0, 2, 4, 5, 16, 17, 18, 22, 40, 48, 53, 57, 60, 61, 65, 68, 71, 73, 81, 84, 87, 95),
    CSOUND: (0, 4, 16, 48, 61, 65, 81, 89),
}
GM_KITS = {
    FLUID: (0, 16, 24, 25, 32),
    GENERAL: (0, 8, 16, 40),
    CSOUND: (0, 16),
    SF2 / "Black_Pearl_4_LV2.sf2": (0,),
}
KITS = Path("/usr/share/hydrogen/data/drumkits")
HYDROGEN = (
    "Audiophob", "ElectricEmpireKit", "ForzeeStereo", "HardElectro1", "Millo-Drums_v.1", "Millo_MultiLayered2",
    "Millo_MultiLayered3", "The Black Pearl 1.0", "VariBreaks", "rumpf_kit_z01_h2",
)  # fmt: skip


def wanted_sounds(bass_notes: list[str], guitar_notes: list[str]) -> list[Wanted]:
    """Returns everything that is packed."""
    found = []
    for font in (FLUID, GENERAL, CSOUND):
        velocities = (0.6, 0.92) if font != CSOUND else (0.85,)
        found += [Wanted(Source("preset", font, 0, p), "bass", velocities, 4, 3.4) for p in BASSES]
        found += [Wanted(Source("preset", font, 0, p), "guitar", velocities, 4, 3.4) for p in GUITARS]
        found += [Wanted(Source("preset", font, 0, p), "other", (0.8,), 7, 3.3) for p in OTHERS[font]]
    for font, kits in GM_KITS.items():
        loud = (0.3, 0.65, 0.97) if "Pearl" in font.name else (0.5, 0.95)
        found += [Wanted(Source("preset", font, DRUM_BANK, p), "drums", loud, 0, 1.8) for p in kits]
    found += [Wanted(Source("kit", KITS / name), "drums") for name in HYDROGEN]
    found += [Wanted(Source("notes", Path(name)), "bass") for name in bass_notes]
    return found + [Wanted(Source("notes", Path(name)), "guitar") for name in guitar_notes]


def pack_scores(folder: Path, midi: str, drum_midi: str) -> None:
    """Packs the pieces and performances of the training split, already read."""
    for name, where in (("pieces", midi), ("performances", drum_midi)):
        train = [read_piece(path) for path in midi_files(where) if split_of(path) == "train"]
        pack_pieces(train, folder / f"{name}.xz")


def write_ogg(path: Path, audio: np.ndarray, rate: int, quality: float) -> None:
    """Writes mono audio as Ogg Vorbis, block by block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sf.SoundFile(path, "w", rate, 1, "VORBIS", format="OGG", compression_level=1 - quality) as file:
        for first in range(0, len(audio), BLOCK):
            file.write(audio[first : first + BLOCK])


def pack_singing(folder: Path, recordings: str, most_seconds: float) -> None:
    """Packs the first seconds of each recording of singing."""
    for path in sorted(Path(recordings).glob("*.flac")):
        audio, rate = sf.read(path, stop=round(most_seconds * 48000), always_2d=True)
        write_ogg(
            folder / "singing" / f"{path.stem}.ogg", audio.mean(1)[: round(most_seconds * rate)], rate, 0.1
        )


def pack_songs(folder: Path, songs: str, held_out: list[str], seconds: float) -> None:
    """Packs the guitars of songs of the game Frets on Fire for training, and whole songs held out for validation."""
    for path in sorted(Path(songs).rglob("guitar.ogg")):
        name = path.parent.name.replace(" ", "_")
        tracks = {part: sf.read(path.with_name(f"{part}.ogg"), always_2d=True) for part in ("guitar", "song")}
        if path.parent.name not in held_out:
            audio, rate = tracks["guitar"]
            write_ogg(folder / "guitars" / f"{name}.ogg", audio.mean(1)[: round(seconds * rate)], rate, 0.3)
            continue
        for part, (audio, rate) in tracks.items():
            middle = audio.mean(1)[round(60 * rate) : round(80 * rate)]
            write_ogg(folder / "songs" / name / f"{part}.ogg", middle, rate, 0.4)


def _pack(job: tuple[Wanted, Path, int, float]) -> tuple[str, float]:
    return job[0].source.plain_name(job[2]), pack(*job)


def main() -> None:
    """Reads the arguments and packs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--midi", required=True)
    parser.add_argument("--drum-midi", required=True)
    parser.add_argument("--bass-notes", nargs="*", default=[])
    parser.add_argument("--guitar-notes", nargs="*", default=[])
    parser.add_argument("--singing", help="folder of recordings")
    parser.add_argument("--songs", help="folder of Frets on Fire's songs")
    parser.add_argument("--held-out-songs", nargs="*", default=[])
    parser.add_argument("--rate", type=int, default=44100, help="Hz")
    parser.add_argument("--quality", type=float, default=0.3, help="of Vorbis, 0 to 1")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (wanted, arguments.folder, arguments.rate, arguments.quality)
        for wanted in wanted_sounds(arguments.bass_notes, arguments.guitar_notes)
        if not (arguments.folder / wanted.source.plain_name(arguments.rate)).with_suffix(".json").exists()
    ]
    with Pool(arguments.workers) as pool:
        for name, seconds in pool.imap_unordered(_pack, jobs):
            print(f"{name}: {seconds:.0f} s", flush=True)
    pack_scores(arguments.folder, arguments.midi, arguments.drum_midi)
    if arguments.singing:
        pack_singing(arguments.folder, arguments.singing, 40.0)
    if arguments.songs:
        pack_songs(arguments.folder, arguments.songs, arguments.held_out_songs, 150.0)


if __name__ == "__main__":
    main()
