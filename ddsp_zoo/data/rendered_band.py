"""A band of bass, drums, guitar and other, rendered from scores: training data that needs no download."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf

from ddsp_zoo.data import band_scores, soundfonts
from ddsp_zoo.data.band_instruments import render_part
from ddsp_zoo.data.band_patterns import invent
from ddsp_zoo.data.band_scores import STEMS, Part, Piece
from ddsp_zoo.data.band_signals import Audio, drive, log_uniform, playing_level, reverb, tilt
from ddsp_zoo.data.base import Split, StemDataModule, Track, folder_tracks
from ddsp_zoo.data.cache import fingerprint, render_folders, rendered_root
from ddsp_zoo.data.soundfonts import Soundfont
from ddsp_zoo.errors import DdspZooError

Engine = Literal["own", "soundfont", "mixed"]
SPLITS = ("train", "validation", "test")
VERSION = 1  # to be raised whenever a change below or in the band modules changes the sound
LEVEL_SPREAD_DB = 3.0  # so two playing stems differ by at most 6 dB
BAR_RANGE_SECONDS = (240 / 170, 240 / 70)


@dataclass(frozen=True)
class Band:
    """What the tracks of a corpus are made of; a track follows from this, its split and its number alone."""

    seed: int
    track_seconds: float
    rate_hz: int
    own_share: float
    midi_share: float
    drum_midi_share: float
    soundfonts: dict[str, tuple[Soundfont, ...]]
    pieces: dict[str, tuple[Path, ...]]
    performances: dict[str, tuple[Path, ...]]

    def fingerprint(self) -> str:
        """Name of the corpus: like its content, it depends on file names and settings, not on folders."""
        fonts = {
            split: [(font.path.name, font.path.stat().st_size) for font in fonts]
            for split, fonts in self.soundfonts.items()
        }
        names = [
            {split: [path.name for path in paths] for split, paths in files.items()}
            for files in (self.pieces, self.performances)
        ]
        settings = {name: value for name, value in asdict(self).items() if isinstance(value, (int, float))}
        return fingerprint(version=VERSION, fonts=fonts, names=names, **settings)

    def render(self, folder: Path, track: tuple[Split, int]) -> None:
        """Write one track: ``<stem>.flac`` (mono, 16 bit), silent ones too, and its notes, ``score.mid``."""
        parts = self.score(*track)
        for stem, audio in self.stems(parts, *track).items():
            sf.write(folder / f"{stem}.flac", audio, self.rate_hz, subtype="PCM_16")
        soundfonts.write_midi(parts, folder / "score.mid")

    def rng(self, split: Split, index: int, stream: str) -> np.random.Generator:
        """Random numbers of one aspect of one track, whatever else is rendered, where and in which order."""
        streams = ("score", "mix", *STEMS)
        return np.random.default_rng([self.seed, SPLITS.index(split), index, streams.index(stream)])

    # ---- notes

    def score(self, split: Split, index: int) -> tuple[Part, ...]:
        """Notes of a track: an excerpt of a MIDI piece or invented ones, its drums perhaps a performance."""
        rng = self.rng(split, index, "score")
        from_midi = bool(self.pieces[split]) and rng.random() < self.midi_share
        performed = bool(self.performances[split]) and rng.random() < self.drum_midi_share
        drums = self._performance(split, rng) if performed else None
        if from_midi:
            parts, bar = self._excerpt(split, rng)
            parts = tuple(_recast(part, rng) for part in _with_guitar(parts, rng))
        else:
            bar = _playable_bar(drums.first_bar_seconds) if drums else None
            parts = invent(rng, self.track_seconds, bar)
        if drums:
            parts = self._with_drums(parts, drums, bar, rng)
        return self._with_rests(parts, rng)

    def _excerpt(self, split: Split, rng: np.random.Generator) -> tuple[tuple[Part, ...], float]:
        paths = self.pieces[split]
        for number in rng.permutation(len(paths)):
            piece = band_scores.read_midi(paths[number])
            if found := band_scores.excerpt(piece, rng, self.track_seconds):
                return found
        raise DdspZooError(
            f"No {split} piece of midi_dir has {self.track_seconds:g} s in which bass, drums and a third "
            "part play: add pieces or set midi_share to 0."
        )

    def _performance(self, split: Split, rng: np.random.Generator) -> Piece:
        paths = self.performances[split]
        for number in rng.permutation(len(paths)):
            piece = band_scores.read_midi(paths[number])
            hits = [note for part in piece.parts for note in part.notes if part.stem == "drums"]
            # At least two bars of common time: fills alone would be looped like a broken record.
            if piece.meter == (4, 4) and hits and hits[-1].start_seconds > 1.5 * piece.first_bar_seconds:
                return piece
        raise DdspZooError(
            f"No {split} file of drum_midi_dir has two bars of drums in 4/4: add files or set "
            "drum_midi_share to 0."
        )

    def _with_drums(
        self, parts: tuple[Part, ...], piece: Piece, bar_seconds: float, rng: np.random.Generator
    ) -> tuple[Part, ...]:
        bar = band_scores.fitting_bar(piece.first_bar_seconds, bar_seconds)
        drums = band_scores.loop_drums(piece, rng, self.track_seconds, bar)
        return (*(part for part in parts if part.stem != "drums"), drums)

    def _with_rests(self, parts: tuple[Part, ...], rng: np.random.Generator) -> tuple[Part, ...]:
        rests = {}
        for stem in STEMS:
            start, length = rng.uniform(0, self.track_seconds), rng.uniform(2, 8)
            rests[stem] = (start, start + length) if rng.random() < 0.2 else (0.0, 0.0)
        return tuple(band_scores.with_rest(part, *rests[part.stem]) for part in parts)

    # ---- sound

    def stems(self, parts: tuple[Part, ...], split: Split, index: int) -> dict[str, Audio]:
        """Audio of all stems (T,), levelled: playing ones within 6 dB, the sum's peak at most 0.9."""
        rng = self.rng(split, index, "mix")
        stems = {stem: self._stem(stem, parts, split, index) for stem in STEMS}
        for stem, audio in stems.items():
            gain_db = rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
            stems[stem] = audio * (10 ** (gain_db / 20) / max(playing_level(audio, self.rate_hz), 1e-6))
        peak = max(np.abs(audio).max() for audio in (sum(stems.values()), *stems.values()))
        scale = log_uniform(rng, 0.45, 0.9) / max(peak, 1e-6)
        return {stem: audio * scale for stem, audio in stems.items()}

    def _stem(self, stem: str, parts: tuple[Part, ...], split: Split, index: int) -> Audio:
        rng = self.rng(split, index, stem)
        parts = tuple(part for part in parts if part.stem == stem and part.notes)
        if not parts:
            return np.zeros(round(self.track_seconds * self.rate_hz))
        if rng.random() < self.own_share:
            rendered = [render_part(part, self.track_seconds, rng, self.rate_hz) for part in parts]
            audio = sum(part / max(playing_level(part, self.rate_hz), 1e-6) for part in rendered)
        else:
            fonts = self.soundfonts[split]
            audio = soundfonts.render_parts(parts, fonts, self.track_seconds, rng, self.rate_hz)
        return colour(audio, stem, rng, self.rate_hz)


def _with_guitar(parts: tuple[Part, ...], rng: np.random.Generator) -> tuple[Part, ...]:
    """Give a guitarist the busiest of several other parts, in half of the pieces that have no guitar."""
    others = [part for part in parts if part.stem == "other"]
    if len(others) < 2 or any(part.stem == "guitar" for part in parts) or rng.random() < 0.5:
        return parts
    busiest = max(others, key=lambda part: len(part.notes))
    guitar = replace(busiest, stem="guitar", program=24 + int(rng.integers(7)))
    return tuple(guitar if part is busiest else part for part in parts)


def _recast(part: Part, rng: np.random.Generator) -> Part:
    """Give half of the parts another instrument of their stem, of their family in "other"."""
    if part.stem == "drums" or rng.random() < 0.5:
        return part
    first = {"bass": 32, "guitar": 24}.get(part.stem, part.program // 8 * 8)
    return replace(part, program=first + int(rng.integers(7 if part.stem == "guitar" else 8)))


def _playable_bar(seconds: float) -> float:
    """Halve or double the length of a bar until its tempo is one that a band would count in."""
    low, high = BAR_RANGE_SECONDS
    while seconds < low:
        seconds *= 2
    while seconds > high:
        seconds /= 2
    return seconds


def colour(audio: Audio, stem: str, rng: np.random.Generator, rate_hz: int) -> Audio:
    """What happens at the mixing desk: the spectrum's tilt, at times warm saturation and a room."""
    audio = tilt(audio, float(rng.uniform(-3, 3)), rate_hz)
    if rng.random() < 0.3:
        audio = drive(audio, log_uniform(rng, 0.3, 1.5))
    if rng.random() < (0.1 if stem == "bass" else 0.5):
        audio = reverb(audio, log_uniform(rng, 0.25, 1.6), log_uniform(rng, 0.05, 0.3), rng, rate_hz)
    return audio


class RenderedBand(StemDataModule):
    """Rendered mixtures of bass, drums, guitar and other, kept on disk as 16-bit FLAC.

    Scores are invented (grooves, chords, lines, rests) or, with ``midi_dir``, excerpts of General MIDI
    pieces; drums may be human performances (``drum_midi_dir``). Pieces and performances are split by the
    hash of their file name: 80 % train, 10 % validation, 10 % test. Sounds are own synthesised instruments,
    which need nothing else, or soundfonts played by the program fluidsynth, if wanted other ones for the test
    split.

    A track follows from the settings, its split and its number: a larger corpus contains the smaller ones,
    and an interrupted rendering goes on where it stopped. ``<root>/<fingerprint>/<split>/<track>/`` holds the
    stems and the notes, ``score.mid``. Raises `DdspZooError` for missing files or programs.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        train_tracks: tracks in the training split.
        validation_tracks: tracks in the validation split.
        test_tracks: tracks in the test split.
        track_seconds: length of a track.
        render_rate: sampling rate of the audio in Hz.
        render_seed: of the scores and sounds.
        engine: "own" instruments, "soundfont", or "mixed": drawn for each stem.
        own_share: with "mixed", the share of stems that own instruments play.
        soundfonts: .sf2 or .sf3 files; one with a single preset counts as a drum kit.
        test_soundfonts: those of the test split; by default the same.
        midi_dir: folder of multi-part General MIDI files; without it all scores are invented.
        midi_share: share of tracks that are excerpts of such pieces.
        drum_midi_dir: folder of drum performances as MIDI files.
        drum_midi_share: share of tracks whose drums are such performances, stretched to the tempo.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive ones.
        workers: processes that render and read audio.
        seed: of the random excerpts.
    """

    def __init__(
        self, root: str | None = None, train_tracks: int = 48, validation_tracks: int = 8,
        test_tracks: int = 8, track_seconds: float = 20.0, render_rate: int = 16000, render_seed: int = 0,
        engine: Engine = "own", own_share: float = 0.3, soundfonts: list[str] | None = None,
        test_soundfonts: list[str] | None = None, midi_dir: str | None = None, midi_share: float = 0.7,
        drum_midi_dir: str | None = None, drum_midi_share: float = 0.5, batch_size: int = 8,
        examples_per_epoch: int = 0, workers: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(batch_size, examples_per_epoch, workers, seed)
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.root = rendered_root("rendered_band", root)
        self.track_seconds, self.render_rate, self.render_seed = track_seconds, render_rate, render_seed
        self.engine, self.own_share = engine, own_share
        self.soundfonts, self.test_soundfonts = soundfonts or [], test_soundfonts or soundfonts or []
        self.midi_dir, self.midi_share = midi_dir, midi_share
        self.drum_midi_dir, self.drum_midi_share = drum_midi_dir, drum_midi_share

    @cached_property
    def band(self) -> Band:
        """The renderer; its files are looked for when it is first needed."""
        shares = {"own": 1.0, "soundfont": 0.0, "mixed": self.own_share}
        if self.engine not in shares:
            raise DdspZooError(f"There is no engine {self.engine!r}: choose own, soundfont or mixed.")
        return Band(
            seed=self.render_seed,
            track_seconds=self.track_seconds,
            rate_hz=self.render_rate,
            own_share=shares[self.engine],
            midi_share=self.midi_share,
            drum_midi_share=self.drum_midi_share,
            soundfonts=self._fonts(),
            pieces=_split_files(self.midi_dir),
            performances=_split_files(self.drum_midi_dir),
        )

    def prepare_data(self) -> None:
        """Render the tracks that are not on disk yet."""
        jobs = {
            self._folder(split, index): (split, index)
            for split in SPLITS
            for index in range(self.counts[split])
        }
        render_folders(jobs, self.band.render, self.workers, "rendering a band")

    def tracks(self, split: Split) -> list[Track]:
        """The first tracks of a split, as many as asked for."""
        wanted = {self._folder(split, index).name for index in range(self.counts[split])}
        return [track for track in folder_tracks(self._folder(split, 0).parent) if track.name in wanted]

    def _fonts(self) -> dict[str, tuple[Soundfont, ...]]:
        if self.engine == "own":
            return dict.fromkeys(SPLITS, ())
        if not self.soundfonts:
            raise DdspZooError(f"The engine {self.engine!r} needs soundfonts: give paths of .sf2 files.")
        soundfonts.fluidsynth_program()
        fonts, test_fonts = (
            tuple(soundfonts.read_soundfont(path) for path in paths)
            for paths in (self.soundfonts, self.test_soundfonts)
        )
        return {"train": fonts, "validation": fonts, "test": test_fonts}

    def _folder(self, split: Split, index: int) -> Path:
        return self.root / self.band.fingerprint() / split / f"track_{index:05d}"


def _split_files(folder: str | None) -> dict[str, tuple[Path, ...]]:
    """MIDI files of a folder by split; none without a folder."""
    files = band_scores.midi_files(folder) if folder else []
    return {split: tuple(path for path in files if band_scores.split_of(path) == split) for split in SPLITS}
