"""Reads the Choral Singing Dataset (Cuesta et al. 2018): sixteen singers, a microphone each, in any combination."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf

from ddsp_zoo.corpora.base import Excerpts, Track
from ddsp_zoo.corpora.choral.groups import ChoirDataModule, Group, Voice, combinations, group
from ddsp_zoo.corpora.download import fetch_archive
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds, read_mono
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.f0_csv import read_f0_csv, write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.choir.scores import PARTS
from ddsp_zoo.pitch.crepe import track_f0
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import Split

RECORD, ARCHIVE = "2649950", "ChoralSingingDataset.zip"
RATE, HOP = 16000, 256
HOP_SECONDS = HOP / RATE
COLUMN = "f0"
CONFIDENCE = 0.4
EVERYONE = (1, 2, 3, 4)


@dataclass(frozen=True)
class Choice:
    """Chooses songs, singers of each part, and a stretch of each song as shares of its length."""

    songs: tuple[str, ...]
    singers: tuple[int, ...]
    start: float = 0.0
    end: float = 1.0


# ER: El Rossinyol, LI: Locus Iste, ND: Niño Dios.
SPLITS: dict[str, dict[Split, Choice]] = {
    # One song: other singers are tested, and training is validated on its end, which it never hears.
    "one_song": {
        "train": Choice(("ND",), (1, 2, 3), 0.0, 0.85),
        "validation": Choice(("ND",), (1, 2, 3), 0.85, 1.0),
        "test": Choice(("ND",), (4,)),
    },
    # As in the thesis: other songs, the same singers.
    "by_song": {
        "train": Choice(("ND",), EVERYONE),
        "validation": Choice(("LI",), EVERYONE),
        "test": Choice(("ER",), EVERYONE),
    },
    # Neither the song nor the singers of the test are ever heard.
    "by_song_and_singer": {
        "train": Choice(("ND", "LI"), (1, 2, 3), 0.0, 0.85),
        "validation": Choice(("ND", "LI"), (1, 2, 3), 0.85, 1.0),
        "test": Choice(("ER",), (4,)),
    },
}
# The published file is a copy of the second tenor's and does not fit this recording.
WRONG_F0 = ("CSD_ND_tenor_3",)
PUBLISHED = re.compile(r"CSD_(?P<song>ER|LI|ND)_(?P<part>soprano|alto|tenor|bass)_(?P<singer>[1-4])$")
EXCERPT = re.compile(r"nino_(?P<part>Soprano|ContraAlt|tenor|Bajos)_?(?P<singer>[1-4])(?P<rest>.*)$")
EXCERPT_PARTS = {"Soprano": "soprano", "ContraAlt": "alto", "tenor": "tenor", "Bajos": "bass"}
MIXTURE_NAMES = {"soprano": "Sno_", "alto": "Alt_", "tenor": "t", "bass": "Bos_"}


@dataclass(frozen=True)
class SingerTake:
    """Holds one singer's file of one song."""

    song: str
    part: str
    singer: int
    path: Path

    @property
    def name(self) -> str:
        """Returns a short name, the same in both layouts."""
        return f"{self.song}_{self.part}_{self.singer}"


class ChoralSingingDataset(ChoirDataModule):
    """Reads real singers, four of each part, who sing the same three songs one section at a time.

    Reads the published layout (``CSD_<song>_<part>_<singer>.wav`` with ``.f0`` beside, 44.1 kHz) or a folder of
    *Niño Dios* alone (``nino_dios/nino_<part>_<singer>….flac`` with ``f0_crepe/`` and ``f0_multipitch/``). As
    all followed the same conducting, any soprano, alto, tenor and bass make a quartet, and any two of
    different parts a duet: training draws from all of them. What the splits need is cut out once, at 16 kHz, and
    kept in the cache.

    Args:
        root: folder of the corpus; by default the environment variable CHORAL_SINGING_ROOT.
        voices: 4 (soprano, alto, tenor, bass) or 2 (high, low).
        splits: one_song, by_song or by_song_and_singer (`SPLITS` says who sings what in each).
        f0_source: given (the corpus's own curves, CREPE for recordings that have none), crepe (of each singer),
            or mixture (of a multi-pitch tracker that heard the mixture alone; it errs).
        crepe_model: tiny, or full, ten times as slow.
        train_tracks: groups to train on, drawn by lot but always the same; 0: all.
        validation_tracks: groups to validate on; 0: all.
        test_tracks: groups to test on; 0: all.
        download: fetch the corpus (1.1 GB) where it is absent.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        voices: int = 4,
        splits: Literal["one_song", "by_song", "by_song_and_singer"] = "one_song",
        f0_source: Literal["given", "crepe", "mixture"] = "given",
        crepe_model: Literal["tiny", "full"] = "tiny",
        train_tracks: int = 0,
        validation_tracks: int = 9,
        test_tracks: int = 0,
        download: bool = False,
        excerpts: Excerpts = Excerpts(batch_size=16),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(voices, excerpts, variation)
        self.root = root or os.environ.get("CHORAL_SINGING_ROOT")
        self.download, self.f0_source, self.crepe_model = download, f0_source, crepe_model
        if splits not in SPLITS:
            raise DdspZooError(f"There are no splits called {splits!r}: choose one of {', '.join(SPLITS)}.")
        self.splits = SPLITS[splits]
        self.most = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Fetches the corpus if asked to, tracks pitches that are not known yet, and cuts out what is needed."""
        if self.download and not self._folder().exists():
            fetch_archive(RECORD, ARCHIVE, self._folder())
        chosen = {split: self._chosen(self.splits[split]) for split in splits}
        if self.f0_source != "mixture":
            sections = {(r.song, r.part) for recordings in chosen.values() for r in recordings}
            pitched = [r for r in self._recordings() if (r.song, r.part) in sections]
            jobs = {self._crepe(r): r.path for r in pitched if self._given(r) is None}
            render_folders(jobs, self._track_pitch, 0, "tracking pitch")
        cuts = {
            self._cut(recording, self.splits[split]): (
                recording,
                self._stretch(recording.song, self.splits[split]),
            )
            for split, recordings in chosen.items()
            for recording in recordings
        }
        render_folders(cuts, self._write_cut, 0, "reading the choir")

    def tracks(self, split: Split) -> list[Track]:
        """Returns every quartet, or every duet of different parts, of the split's singers, song by song."""
        choice, groups = self.splits[split], []
        for song in choice.songs:
            recordings = [r for r in self._chosen(choice) if r.song == song]
            voices = [self._voice(r, self._cut(r, choice)) for r in recordings]
            groups += [self._group(members, choice) for members in combinations(voices, self.voices)]
        return self._spread(groups, self.most[split])

    # ---- what is there

    def _folder(self) -> Path:
        if self.download and not self.root:
            return cache_root() / "choral_singing" / "corpus"
        if not self.root:
            raise DdspZooError(
                f"The choir needs its folder: set data.root or CHORAL_SINGING_ROOT; {_INSTEAD}."
            )
        return Path(self.root)

    def _recordings(self) -> list[SingerTake]:
        """Returns all singers of all songs in the folder, sorted."""
        found = {(r.song, r.part, r.singer): r for r in _find(self._folder())}
        if not found:
            raise DdspZooError(
                f"{self._folder()} is not the Choral Singing Dataset: it has no CSD_<song>_<part>_<singer>.wav "
                f"(zenodo.org/records/{RECORD}, or data.download: true); {_INSTEAD}."
            )
        return [found[key] for key in sorted(found)]

    def _chosen(self, choice: Choice) -> list[SingerTake]:
        """Returns the recordings of a choice; raises `DdspZooError` where one is missing."""
        found = {(r.song, r.part, r.singer): r for r in self._recordings()}
        wanted = [
            (song, part, singer) for song in choice.songs for part in PARTS for singer in choice.singers
        ]
        if missing := [key for key in wanted if key not in found]:
            song, part, singer = missing[0]
            raise DdspZooError(
                f"{self._folder()} lacks {len(missing)} of {len(wanted)} recordings, first CSD_{song}_{part}_{singer}: "
                "choose splits of the songs that are there (data.splits: one_song needs only ND) or complete it."
            )
        return [found[key] for key in wanted]

    def _stretch(self, song: str, choice: Choice) -> tuple[float, float]:
        """Returns start and end in seconds, on frames, of the part that all recordings of the song have."""
        length = min(duration_seconds(r.path) for r in self._recordings() if r.song == song)
        first, last = (
            int(share * length / HOP_SECONDS) * HOP_SECONDS for share in (choice.start, choice.end)
        )
        return first, last

    # ---- pitch

    def _given(self, recording: SingerTake) -> Path | None:
        """Returns the corpus's own f0 file of a recording, if it is to be used and there is one that fits."""
        path = recording.path
        places = (path.with_suffix(".f0"), path.parent.parent / "f0_crepe" / f"{path.stem}.f0.csv")
        if self.f0_source != "given" or path.stem in WRONG_F0:
            return None
        return next((place for place in places if place.exists()), None)

    def _crepe(self, recording: SingerTake) -> Path:
        """Returns the cache folder of a recording's tracked pitch."""
        made_of = fingerprint(
            file=recording.path.name, bytes=recording.path.stat().st_size, model=self.crepe_model
        )
        return cache_root() / "choral_singing" / "crepe" / f"{recording.name}_{made_of}"

    def _track_pitch(self, folder: Path, recording: Path) -> None:
        f0 = track_f0(read_mono(recording, RATE), HOP, CONFIDENCE, self.crepe_model)
        write_f0_csv(folder / "f0.csv", np.arange(len(f0)) * HOP_SECONDS, f0[None], (COLUMN,))

    def _curve(self, recording: SingerTake, count: int) -> np.ndarray:
        """Returns f0_hz (count,) of a whole recording every 16 ms."""
        if given := self._given(recording):
            time, f0 = _read_given(given)
        else:
            time, f0, _ = read_f0_csv(self._crepe(recording) / "f0.csv", (COLUMN,))
        return PitchTrack.from_times(time, f0.reshape(1, -1), None, HOP_SECONDS, count).f0_hz[0]

    # ---- voices and groups

    def _cut(self, recording: SingerTake, choice: Choice) -> Path:
        made_of = fingerprint(
            root=str(self._folder().resolve()),
            f0=self.f0_source,
            crepe=self.crepe_model,
            stretch=self._stretch(recording.song, choice),
        )
        return cache_root() / "choral_singing" / made_of / recording.name

    def _write_cut(self, folder: Path, job: tuple[SingerTake, tuple[float, float]]) -> None:
        """Writes ``voice.flac`` of one stretch of one recording, and ``f0.csv`` unless the mixture gives f0."""
        recording, (start, end) = job
        audio = read_mono(recording.path, RATE, start, end - start)
        sf.write(folder / "voice.flac", audio, RATE, subtype="PCM_24")
        if self.f0_source == "mixture":
            return
        section = [r for r in self._recordings() if (r.song, r.part) == (recording.song, recording.part)]
        first, last = round(start / HOP_SECONDS), round(end / HOP_SECONDS)
        f0 = mend_octaves(np.stack([self._curve(r, last) for r in section]))[section.index(recording), first:]
        write_f0_csv(folder / "f0.csv", np.arange(len(f0)) * HOP_SECONDS, f0[None], (COLUMN,))

    def _voice(self, recording: SingerTake, folder: Path) -> Voice:
        return Voice(recording.name, recording.part, folder / "voice.flac", folder / "f0.csv", COLUMN)

    def _group(self, members: tuple[Voice, ...], choice: Choice) -> Group:
        if self.f0_source != "mixture":
            return group(members)
        paths = {r.name: r.path for r in self._recordings()}
        key = "nino_dios_" + "_".join(_mixture_name(paths[voice.name]) for voice in members)
        word = {2: "2_voices", 4: "4_voices"}[len(members)]
        tracked = next(iter(paths.values())).parent.parent / "f0_multipitch" / f"nino_dios_{word}.npz"
        if not tracked.exists():
            raise DdspZooError(
                f"There is no {tracked}: f0 from the mixture needs it; set data.f0_source to given."
            )
        start, _ = self._stretch(members[0].name.split("_")[0], choice)
        return group(members, MixtureGroup, tracked=tracked, key=key, first=round(start / HOP_SECONDS))


@dataclass(frozen=True)
class MixtureGroup(Group):
    """Holds a group whose f0 a multi-pitch tracker took from its mixture.

    The file ``tracked`` has one array (frames, voices) for each group.
    """

    tracked: Path = Path()
    key: str = ""
    first: int = 0

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """Reads f0 as tracked; an onset is where a voiced run begins."""
        f0 = np.load(self.tracked)[self.key].T[:, self.first :]
        f0 = np.where(f0 > 30, f0, 0)[[list(self.stems).index(name) for name in sources]]
        count = int(self.seconds / hop_seconds) + 1
        return PitchTrack.from_times(np.arange(f0.shape[1]) * HOP_SECONDS, f0, None, hop_seconds, count)


_INSTEAD = "to train on rendered choirs instead, add --config recipes/data/rendered_choir.yaml"


def _find(folder: Path) -> Iterator[SingerTake]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.suffix.lower() not in (".wav", ".flac"):
            continue
        if match := PUBLISHED.match(path.stem):
            yield SingerTake(match["song"], match["part"], int(match["singer"]), path)
        elif match := EXCERPT.match(path.stem):
            yield SingerTake("ND", EXCERPT_PARTS[match["part"]], int(match["singer"]), path)


def _mixture_name(path: Path) -> str:
    """Returns what the files of the tracker call a singer: Sno_105, Alt_107, t1-06-2, Bos_104."""
    match = EXCERPT.match(path.stem)
    if match is None:
        raise DdspZooError(
            "Only the folder of Niño Dios has f0 from the mixture: set data.f0_source to given."
        )
    return MIXTURE_NAMES[EXCERPT_PARTS[match["part"]]] + match["singer"] + match["rest"]


def _read_given(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads time_seconds and f0_hz (M,), 0 = unvoiced, of a .f0 file (time, Hz) or a CSV with CREPE's confidence."""
    is_csv = path.suffix == ".csv"
    try:
        table = np.loadtxt(path, delimiter="," if is_csv else None, skiprows=int(is_csv), ndmin=2)
        time, f0 = table[:, 0], table[:, 1]
        voiced = (f0 > 0) & (table[:, 2] >= CONFIDENCE) if is_csv else f0 > 0
    except (OSError, ValueError, IndexError) as error:
        raise DdspZooError(f"{path} is no f0 file (time, Hz and, in a CSV, confidence): {error}.") from error
    return time, np.where(voiced, f0, 0)


def mend_octaves(f0_hz: np.ndarray, window_seconds: float = 0.3) -> np.ndarray:
    """Corrects octave errors by those who sing the same notes: f0_hz (singers, N) every 16 ms -> the same.

    A pitch that no one else has within the window around it (to a semitone) is moved to the octave above or
    below where someone does have that pitch.
    """
    reach = round(window_seconds / HOP_SECONDS)
    octave = np.where(f0_hz > 0, np.log2(np.maximum(f0_hz, 1)), np.nan)
    padded = np.pad(octave, ((0, 0), (reach, reach)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    out = f0_hz.copy()
    for row in range(len(f0_hz)):
        others = np.delete(around, row, axis=0)
        same, above, below = (
            (np.abs(octave[row, :, None] + shift - others) < 1 / 12).any((0, 2)) for shift in (0, 1, -1)
        )
        out[row] *= np.where(same, 1, np.where(above, 2, np.where(below, 0.5, 1)))
    return out
