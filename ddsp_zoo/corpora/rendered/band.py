"""Renders a corpus of bands from scores: training data that needs no download."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track, folder_tracks
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import folder_or_cache
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music import soundfonts
from ddsp_zoo.music.band import scores as band_scores
from ddsp_zoo.music.band.renderer import Band
from ddsp_zoo.music.band.singers import singing_files
from ddsp_zoo.music.band.sounds import Sounds, existing_folders
from ddsp_zoo.sources import SPLITS, Split

Engine = Literal["own", "sampled", "mixed"]


@dataclass(frozen=True)
class SoundFiles:
    """Lists the recorded sounds that a sampler plays.

    Args:
        soundfonts: .sf2 or .sf3 files; one with a single preset counts as a drum kit.
        drum_kits: folders of Hydrogen drum kits, with a drumkit.xml each.
        bass_notes: folders of recorded bass notes, placed by an .sfz file or named by pitch.
        guitar_notes: folders of recorded guitar notes, placed or named likewise.
    """

    soundfonts: list[str] | None = None
    drum_kits: list[str] | None = None
    bass_notes: list[str] | None = None
    guitar_notes: list[str] | None = None

    def or_else(self, other: "SoundFiles") -> "SoundFiles":
        """Returns these sounds, with those of ``other`` where none are named."""
        return replace(other, **{name: paths for name, paths in vars(self).items() if paths is not None})


class RenderedBand(StemDataModule):
    """Renders mixtures of bass, drums, guitar and other, kept on disk as 16-bit FLAC.

    Scores are invented (grooves, chords, lines, rests) or, with ``midi_dir``, excerpts of General MIDI
    pieces; drums may be human performances (``drum_midi_dir``). Pieces and performances are split by the
    hash of their file name: 80 % train, 10 % validation, 10 % test. Sounds are own synthesised instruments,
    which need nothing else, or a sampler that plays recorded ones: soundfonts, of which the program fluidsynth
    records each preset once, folders of single notes, Hydrogen's drum kits. Validation and test may have sounds
    of their own (``test_sounds``). On some tracks somebody sings in "other": a voice that is made up, in training
    also recordings. Guitar amplifiers and a mixing desk follow.

    A track follows from the settings, its split and its number: a larger corpus contains the smaller ones,
    and an interrupted rendering goes on where it stopped. ``<root>/<fingerprint>/<split>/<track>/`` holds the
    stems and the notes, ``score.mid``; ``<root>/banks`` what has been recorded from soundfonts and folders. In
    training the stems' levels lie within 12 dB and some stems are absent; in validation and test within 6 dB.
    Raises `DdspZooError` for missing files or programs.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        train_tracks: tracks in the training split.
        validation_tracks: tracks in the validation split.
        test_tracks: tracks in the test split.
        track_seconds: length of a track.
        render_rate: sampling rate of the audio in Hz.
        render_seed: of the scores and sounds.
        engine: "own" instruments, "sampled" ones, or "mixed": drawn for each part.
        own_share: with "mixed", the share of parts that own instruments play.
        sounds: recorded sounds for training.
        test_sounds: those of validation and test; what is None there is as in training.
        singing: recordings of singing, or folders of them, for the training split alone.
        singing_share: share of tracks with a singer; half as many have a recorded one, where there are recordings.
        midi_dir: folder of multi-part General MIDI files; without it all scores are invented.
        midi_share: share of tracks that are excerpts of such pieces.
        drum_midi_dir: folder of drum performances as MIDI files.
        drum_midi_share: share of tracks whose drums are such performances, stretched to the tempo.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        train_tracks: int = 48,
        validation_tracks: int = 8,
        test_tracks: int = 8,
        track_seconds: float = 20.0,
        render_rate: int = 16000,
        render_seed: int = 0,
        engine: Engine = "own",
        own_share: float = 0.3,
        sounds: SoundFiles = SoundFiles(),
        test_sounds: SoundFiles = SoundFiles(),
        singing: list[str] | None = None,
        singing_share: float = 0.4,
        midi_dir: str | None = None,
        midi_share: float = 0.7,
        drum_midi_dir: str | None = None,
        drum_midi_share: float = 0.5,
        excerpts: Excerpts = Excerpts(),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.root = folder_or_cache(root, "rendered_band")
        self.track_seconds, self.render_rate, self.render_seed = track_seconds, render_rate, render_seed
        self.engine, self.own_share = engine, own_share
        self.sounds = (sounds, test_sounds.or_else(sounds))  # for training, for validation and test
        self.singing, self.singing_share = singing or [], singing_share
        self.midi_dir, self.midi_share = midi_dir, midi_share
        self.drum_midi_dir, self.drum_midi_share = drum_midi_dir, drum_midi_share

    @cached_property
    def band(self) -> Band:
        """Returns the renderer; its files are looked for when it is first needed."""
        shares = {"own": 1.0, "sampled": 0.0, "mixed": self.own_share}
        if self.engine not in shares:
            raise DdspZooError(f"There is no engine {self.engine!r}: choose own, sampled or mixed.")
        train, unheard = self._sounds(0), self._sounds(1)
        return Band(
            seed=self.render_seed,
            track_seconds=self.track_seconds,
            rate_hz=self.render_rate,
            own_share=shares[self.engine],
            midi_share=self.midi_share,
            drum_midi_share=self.drum_midi_share,
            singing_share=self.singing_share,
            sounds={"train": train, "validation": unheard, "test": unheard},
            pieces=_split_files(self.midi_dir),
            performances=_split_files(self.drum_midi_dir),
            banks=self.root / "banks",
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Renders the tracks of these splits that are not on disk yet."""
        jobs = {
            self._folder(split, index): (split, index)
            for split in splits
            for index in range(self.counts[split])
        }
        render_folders(jobs, self.band.render, self.excerpts.workers, "rendering a band")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the first tracks of a split, as many as asked for."""
        wanted = {self._folder(split, index).name for index in range(self.counts[split])}
        return [track for track in folder_tracks(self._folder(split, 0).parent) if track.name in wanted]

    def _sounds(self, use: int) -> Sounds:
        """Returns the sounds of training (0), or of validation and test (1)."""
        singing = singing_files(self.singing) if use == 0 else ()
        if self.engine == "own":
            return Sounds(singing=singing)
        files = self.sounds[use]
        if not files.soundfonts:
            raise DdspZooError(f"The engine {self.engine!r} needs soundfonts: give paths of .sf2 files.")
        soundfonts.fluidsynth_program()
        return Sounds(
            soundfonts=tuple(soundfonts.read_soundfont(path) for path in files.soundfonts),
            drum_kits=existing_folders(files.drum_kits or []),
            notes={
                "bass": existing_folders(files.bass_notes or []),
                "guitar": existing_folders(files.guitar_notes or []),
            },
            singing=singing,
        )

    def _folder(self, split: Split, index: int) -> Path:
        return self.root / self.band.fingerprint() / split / f"track_{index:05d}"


def _split_files(folder: str | None) -> dict[str, tuple[Path, ...]]:
    """Returns the MIDI files of a folder by split; none without a folder."""
    files = band_scores.midi_files(folder) if folder else []
    return {split: tuple(path for path in files if band_scores.split_of(path) == split) for split in SPLITS}
