"""Renders the tracks of a band: a score, sounds for its parts, and the mixing desk."""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import fingerprint
from ddsp_zoo.music import soundfonts
from ddsp_zoo.music.band import scores as band_scores
from ddsp_zoo.music.band.casting import recast, thinned, with_guitar
from ddsp_zoo.music.band.instruments import render_part
from ddsp_zoo.music.band.patterns import invent
from ddsp_zoo.music.band.playing import DRIVEN, humanise, play_guitar, second_take, sung_melody
from ddsp_zoo.music.band.scores import STEMS, Part, Piece
from ddsp_zoo.music.band.singers import recorded_singing, render_voice, voice_chain
from ddsp_zoo.music.band.sounds import Sounds, render_sampled
from ddsp_zoo.music.effects import amplifier, chorus, desk
from ddsp_zoo.music.signals import Audio, log_uniform, playing_level
from ddsp_zoo.sources import SPLITS, Split

VERSION = 2  # to be raised whenever a change below or in the band modules changes the sound
# Half the range of the stems' levels: training meets more than what is measured on.
LEVEL_SPREAD_DB = {"train": 6.0, "validation": 3.0, "test": 3.0}
ABSENT_SHARE = 0.08  # of the stems of training tracks, whole tracks through


@lru_cache(maxsize=512)
def read_piece(path: Path) -> Piece:
    """Reads a MIDI file; the process keeps the last ones, because reading takes longer than playing."""
    return band_scores.read_midi(path)


@dataclass(frozen=True)
class Band:
    """Renders the tracks of a corpus; a track follows from these settings, its split and its number alone."""

    seed: int
    track_seconds: float
    rate_hz: int
    own_share: float
    midi_share: float
    drum_midi_share: float
    singing_share: float
    sounds: dict[str, Sounds]
    pieces: dict[str, tuple[Path | Piece, ...]]
    performances: dict[str, tuple[Path | Piece, ...]]
    banks: Path

    def fingerprint(self) -> str:
        """Returns the name of the corpus, which depends on file names and settings, not on folders."""
        names = [
            {split: [path.name for path in paths] for split, paths in files.items()}
            for files in (self.pieces, self.performances)
        ]
        sounds = {split: sounds.names() for split, sounds in self.sounds.items()}
        settings = {name: value for name, value in asdict(self).items() if isinstance(value, (int, float))}
        return fingerprint(version=VERSION, sounds=sounds, names=names, **settings)

    def render(self, folder: Path, track: tuple[Split, int]) -> None:
        """Writes one track: ``<stem>.flac`` (mono, 16 bit), silent ones too, and its notes, ``score.mid``."""
        parts = self.score(*track)
        for stem, audio in self.stems(parts, *track).items():
            sf.write(folder / f"{stem}.flac", audio, self.rate_hz, subtype="PCM_16")
        soundfonts.write_midi(parts, folder / "score.mid")

    def rng(self, split: Split, index: int, stream: str) -> np.random.Generator:
        """Returns the random numbers of one aspect of one track; they do not depend on what else is rendered."""
        streams = ("score", "mix", *STEMS)
        return np.random.default_rng([self.seed, SPLITS.index(split), index, streams.index(stream)])

    # ---- notes

    def score(self, split: Split, index: int) -> tuple[Part, ...]:
        """Returns the notes of a track: an excerpt of a MIDI piece or invented ones, at times with performed drums."""
        rng = self.rng(split, index, "score")
        from_midi = bool(self.pieces[split]) and rng.random() < self.midi_share
        performed = bool(self.performances[split]) and rng.random() < self.drum_midi_share
        drums = self._performance(split, rng) if performed else None
        if from_midi:
            parts, bar = self._excerpt(split, rng)
            parts = tuple(humanise(recast(part, rng), rng) for part in with_guitar(parts, rng))
        else:
            bar = band_scores.playable_bar(drums.first_bar_seconds) if drums else None
            parts = invent(rng, self.track_seconds, bar)
        if drums:
            parts = self._with_drums(parts, drums, bar, rng)
        parts = tuple(play_guitar(part, rng) if part.stem == "guitar" else part for part in parts)
        if rng.random() < self.singing_share and (melody := sung_melody(parts, rng, self.track_seconds)):
            parts = (*thinned(parts, rng), melody)
        return self._without_some(self._with_rests(parts, rng), split, rng)

    def _without_some(
        self, parts: tuple[Part, ...], split: Split, rng: np.random.Generator
    ) -> tuple[Part, ...]:
        """Leaves some stems out of a training track altogether; two always play."""
        if split != "train":
            return parts
        absent = [stem for stem in STEMS if rng.random() < ABSENT_SHARE][:2]
        left = tuple(part for part in parts if part.stem not in absent)
        return left if len({part.stem for part in left if part.notes}) > 1 else parts

    def _excerpt(self, split: Split, rng: np.random.Generator) -> tuple[tuple[Part, ...], float]:
        paths = self.pieces[split]
        for number in rng.permutation(len(paths)):
            piece = _read(paths[number])
            if found := band_scores.excerpt(piece, rng, self.track_seconds):
                return found
        raise DdspZooError(
            f"No {split} piece of midi_dir has {self.track_seconds:g} s in which bass, drums and a third "
            "part play: add pieces or set midi_share to 0."
        )

    def _performance(self, split: Split, rng: np.random.Generator) -> Piece:
        paths = self.performances[split]
        for number in rng.permutation(len(paths)):
            piece = _read(paths[number])
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
        """Returns all stems (T,): playing ones within 6 dB (training: 12), the peak of the sum at most 0.9."""
        rng = self.rng(split, index, "mix")
        spread_db = LEVEL_SPREAD_DB[split]
        stems = {stem: self._stem(stem, parts, split, index) for stem in STEMS}
        for stem, audio in stems.items():
            gain_db = rng.uniform(-spread_db, spread_db)
            stems[stem] = audio * (10 ** (gain_db / 20) / max(playing_level(audio, self.rate_hz), 1e-6))
        peak = max(np.abs(audio).max() for audio in (sum(stems.values()), *stems.values()))
        scale = log_uniform(rng, 0.45, 0.9) / max(peak, 1e-6)
        return {stem: audio * scale for stem, audio in stems.items()}

    def _stem(self, stem: str, parts: tuple[Part, ...], split: Split, index: int) -> Audio:
        rng = self.rng(split, index, stem)
        parts = tuple(part for part in parts if part.stem == stem and part.notes)
        played = [self._part(part, split, rng) for part in parts]
        singing = self.sounds[split].singing
        if stem == "other" and singing and rng.random() < self.singing_share / 2:
            audio = recorded_singing(singing, self.track_seconds, rng, self.rate_hz)
            played.append(voice_chain(audio, rng, self.rate_hz))
        audio = np.zeros(round(self.track_seconds * self.rate_hz))
        for part in played:
            gain = 10 ** (rng.uniform(-4, 4) / 20)
            audio += part * (gain / max(playing_level(part, self.rate_hz), 1e-6))
        return desk(audio, stem, rng, self.rate_hz) if played else audio

    def _part(self, part: Part, split: Split, rng: np.random.Generator) -> Audio:
        """Renders one part, with what its player adds: a second take, an amplifier."""
        if part.sung:
            return voice_chain(render_voice(part, self.track_seconds, rng, self.rate_hz), rng, self.rate_hz)
        if rng.random() < self.own_share:
            return render_part(part, self.track_seconds, rng, self.rate_hz)
        loud = part.stem == "guitar" and rng.random() < {29: 0.7, 30: 0.7, 24: 0.1, 25: 0.2}.get(
            part.program, 0.4
        )
        if loud and part.program in DRIVEN:
            part = replace(part, program=26 + int(rng.integers(3)))  # the amplifier does the rest
        takes = [part]
        if part.stem == "guitar" and rng.random() < (0.3 if loud else 0.1):
            takes.append(second_take(part, rng))
        audio = sum(self._take(take, loud, split, rng) for take in takes)
        return chorus(audio, rng, self.rate_hz) if part.stem == "guitar" and rng.random() < 0.1 else audio

    def _take(self, part: Part, loud: bool, split: Split, rng: np.random.Generator) -> Audio:
        audio = render_sampled(part, self.sounds[split], self.banks, self.track_seconds, rng, self.rate_hz)
        return amplifier(audio, rng, self.rate_hz) if loud else audio


def _read(piece: Path | Piece) -> Piece:
    """Returns a piece that is given as such or as a MIDI file."""
    return piece if isinstance(piece, Piece) else read_piece(piece)
