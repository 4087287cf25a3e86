"""Keeps stems on the device of the training and makes random mixtures of them there, so that nothing waits for a disk.

Stems are read at any place and speed, from one track or several. They are filtered, distorted, made louder or softer,
turned upside down or left out. Then some mixtures lose their treble or have their peaks pressed; the stems follow.

Of recorded songs often only the guitar and the sum of all others are to be had: these have their place here too, and
``known`` says which stems of a mixture stand for themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddsp_zoo.music.band.farm import FULL_SCALE
from ddsp_zoo.music.band.scores import STEMS

LONE_STEM = STEMS.index("guitar")  # the stem of which there may be recordings without the others
SONG_STEMS = ("guitar", "other")  # of songs of which nothing else is known: "other" is all but the guitar
DOUBLED = (0.0, 0.0, 1.0, 1.0)  # of `STEMS`: of which there may be two at a time
LONE_PEAK = 0.5  # to which recordings of guitars are brought
FILTER_POINTS = 11  # octaves from 40 Hz on
ENDS_HZ = (4000.0, 8000.0, 11025.0, 16000.0)  # half the rates of low-rate files


@dataclass(frozen=True)
class Mixing:
    """Says how random mixtures differ from the tracks as they are; shares are of excerpts or of stems.

    Args:
        swap: share of the excerpts whose stems come from different tracks.
        stretch: octaves that a stem is read faster or slower by, at most.
        gain_db: each stem is louder or softer by up to so much.
        turned: share of the stems that are turned upside down.
        absent: share of the stems that are left out.
        second: share of the excerpts in which the guitar, or the rest, of another track is added.
        lone: share of the excerpts whose guitar comes from the recordings of guitars alone.
        song: share of the excerpts from recorded songs.
        filter_db: standard deviation of the response at each of the points of a random filter.
        driven: share of the pitched stems that are distorted.
        dulled: share of the mixtures without treble, as files of lower rates are.
        pressed: share of the mixtures whose peaks are pressed flat.
    """

    swap: float = 0.6
    stretch: float = 0.2
    gain_db: float = 8.0
    turned: float = 0.5
    absent: float = 0.1
    second: float = 0.25
    lone: float = 0.12
    song: float = 0.25
    filter_db: float = 3.0
    driven: float = 0.12
    dulled: float = 0.15
    pressed: float = 0.3


class StemPool:
    """Holds tracks of the four `STEMS` and of equal length as 16-bit integers on one device.

    New tracks replace the oldest.

    Args:
        capacity: tracks that there is room for.
        samples: length of a track.
        sample_rate: in Hz.
        device: where they are kept and mixed.
        lone: recordings (n, samples) of guitars alone, see `lone_guitars`, which are never replaced.
        songs: recordings (n, 2, samples) of guitars and of all that plays with them, see `songs`; never replaced.
    """

    def __init__(
        self,
        capacity: int,
        samples: int,
        sample_rate: int,
        device: torch.device,
        lone: NDArray[np.int16] | None = None,
        songs: NDArray[np.int16] | None = None,
    ) -> None:
        self.lone, self.songs = (0 if kept is None else len(kept) for kept in (lone, songs))
        shape = capacity + self.lone + self.songs, len(STEMS), samples
        self.audio = torch.zeros(shape, dtype=torch.int16, device=device)
        self.capacity, self.added = capacity, 0
        self.sample_rate, self.device = sample_rate, device
        if lone is not None:
            self.audio[capacity : capacity + self.lone, LONE_STEM] = torch.from_numpy(lone).to(device)
        self.in_songs = torch.tensor([name in SONG_STEMS for name in STEMS], device=device)
        if songs is not None:
            self.audio[capacity + self.lone :, self.in_songs] = torch.from_numpy(songs).to(device)

    def __len__(self) -> int:
        """Returns the number of tracks that can be drawn."""
        return min(self.added, self.capacity)

    def add(self, track: NDArray[np.int16]) -> None:
        """Adds a track (S, T) of 16-bit integers."""
        self.audio[self.added % self.capacity].copy_(torch.from_numpy(track))
        self.added += 1

    def draw(
        self, batch: int, samples: int, mixing: Mixing, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draws stems (batch, S, samples) that belong together or not, and which of them are known (batch, S).

        One that is not known is silent here and plays in the last, the rest.
        """
        count, shape = len(self), (batch, self.audio.shape[1])

        def uniform(*size: int) -> Tensor:
            return torch.rand(size, generator=generator, device=self.device)

        apart = uniform(batch, 1) < mixing.swap
        one = (uniform(batch, 1) * count).long()
        tracks = torch.where(apart, (uniform(*shape) * count).long(), one)
        if self.lone:
            lone = self.capacity + (uniform(batch) * self.lone).long()
            chosen = uniform(batch) < mixing.lone
            tracks[:, LONE_STEM] = torch.where(chosen, lone, tracks[:, LONE_STEM])
        known = torch.ones(shape, dtype=torch.bool, device=self.device)
        if self.songs and mixing.song:
            song = self.capacity + self.lone + (uniform(batch, 1) * self.songs).long()
            chosen = uniform(batch, 1) < mixing.song
            other = apart & (torch.arange(shape[1], device=self.device) == LONE_STEM)
            tracks = torch.where(chosen & ~other, song, tracks)
            known = ~chosen | self.in_songs
        speeds = torch.where(apart, uniform(*shape), uniform(batch, 1)) * 2 - 1
        place = torch.where(apart, uniform(*shape), uniform(batch, 1))
        return self._read(tracks, place, 2 ** (speeds * mixing.stretch), samples), known

    def _read(self, tracks: Tensor, place: Tensor, speed: Tensor, samples: int) -> Tensor:
        """Returns (B, S, samples) of tracks (B, S) from a place in 0..1 on, at a speed, by Catmull and Rom's cubic."""
        stems, length = self.audio.shape[1:]
        room = (length - 4 - samples * speed).clamp(min=0)
        begin, step = place * room, torch.arange(samples, device=self.device)
        first = begin.floor()  # whole samples are counted apart: sums of them are too large for float32
        ahead = (begin - first)[..., None] + (speed - 1)[..., None] * step
        f = ahead - ahead.floor()
        whole = first[..., None].long() + step + ahead.floor().long()
        rows = tracks * stems + torch.arange(stems, device=self.device)
        index = rows[..., None] * length + whole.clamp(max=length - 4)
        flat = self.audio.view(-1)
        a, b, c, d = (flat[index + step].float() for step in range(4))
        cubic = c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a))
        return (b + 0.5 * f * cubic) / FULL_SCALE


def lone_guitars(folder: Path, samples: int, sample_rate: int) -> NDArray[np.int16] | None:
    """Reads the recordings of guitars alone in a folder, cut into pieces (n, samples); None where there are none."""
    found = [_pieces([path], samples, sample_rate)[:, 0] for path in sorted(folder.glob("*.ogg"))]
    return np.concatenate(found) if found else None


def songs(folder: Path, samples: int, sample_rate: int) -> NDArray[np.int16] | None:
    """Reads ``<folder>/<song>/<stem>.ogg`` of the `SONG_STEMS`, cut into pieces (n, 2, samples); None without songs."""
    found = [
        _pieces([song / f"{name}.ogg" for name in SONG_STEMS], samples, sample_rate)
        for song in sorted(folder.glob("*"))
    ]
    return np.concatenate(found) if found else None


def _pieces(paths: Sequence[Path], samples: int, sample_rate: int) -> NDArray[np.int16]:
    """Returns recordings that belong together, cut into pieces (n, recordings, samples), the loudest at one peak."""
    read = [sf.read(path, dtype="float32") for path in paths]
    audio = np.stack([soxr.resample(part, rate, sample_rate) for part, rate in read])
    audio *= LONE_PEAK * FULL_SCALE / max(np.abs(audio).max(), 1e-3)
    # The last piece goes on with the beginning of the recording.
    count = -(-audio.shape[1] // samples)
    whole = np.pad(np.rint(audio).astype(np.int16), ((0, 0), (0, count * samples - audio.shape[1])), "wrap")
    return np.ascontiguousarray(whole.reshape(len(audio), count, samples).swapaxes(0, 1))


def mixtures(
    pool: StemPool, batch: int, samples: int, mixing: Mixing, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draws a batch: mixtures (batch, samples), their stems (batch, S, samples), and which of them are known."""
    stems, known = pool.draw(batch, samples, mixing, generator)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=stems.device)

    shape = stems.shape[:2]
    seconds = (uniform(*shape) < mixing.second) * torch.tensor(DOUBLED, device=stems.device)
    more, _ = pool.draw(batch, samples, replace(mixing, song=0.0), generator)
    stems = stems + more * seconds[..., None]
    gain_db = (uniform(*shape) * 2 - 1) * mixing.gain_db
    sign = torch.where(uniform(*shape) < mixing.turned, -1.0, 1.0)
    there = uniform(*shape) >= mixing.absent
    there[:, 0] |= ~there.any(1)
    response = _responses(stems, pool.sample_rate, mixing, generator)
    stems = torch.fft.irfft(torch.fft.rfft(stems) * response, n=samples)
    stems = _driven(stems, uniform(*shape), uniform(*shape), mixing)
    stems = stems * (sign * there * 10 ** (gain_db / 20))[..., None]
    mixture, stems = _pressed(stems, uniform(batch), uniform(batch), mixing)
    return {"mixture": mixture, "sources": stems, "known": known}


def _pressed(stems: Tensor, drive: Tensor, lot: Tensor, mixing: Mixing) -> tuple[Tensor, Tensor]:
    """Returns the mixtures of stems, some with their peaks pressed flat, and the stems as loud as they are in them."""
    mixture = stems.sum(1)
    peak = mixture.abs().amax(-1).clamp(min=1e-4)
    hot = (2 ** (drive * 2) * (lot < mixing.pressed) / peak)[:, None] * mixture
    press = torch.where(hot.abs() > 1e-3, hot.tanh() / hot, 1.0)
    return mixture * press, stems * press[:, None]


def _responses(stems: Tensor, sample_rate: int, mixing: Mixing, generator: torch.Generator) -> Tensor:
    """Returns random filters (B, S, F), smooth over the logarithm of frequency; some mixtures lose their treble."""
    batch, count, samples = stems.shape
    device = stems.device
    hz = torch.linspace(0, sample_rate / 2, samples // 2 + 1, device=device)
    octave = (hz / 40).clamp(min=1).log2()
    curve = torch.randn(batch, count, FILTER_POINTS, generator=generator, device=device) * mixing.filter_db
    left = octave.floor().long().clamp(max=FILTER_POINTS - 2)
    part = octave - left
    part = part * part * (3 - 2 * part)
    response_db = curve[..., left] * (1 - part) + curve[..., left + 1] * part
    lot = torch.rand(batch, generator=generator, device=device)
    ends = torch.tensor(ENDS_HZ, device=device)
    end = ends[(lot / max(mixing.dulled, 1e-6) * len(ends)).long().clamp(max=len(ends) - 1)] * 0.97
    end = torch.where(lot < mixing.dulled, end, sample_rate)
    passed = ((end[:, None] - hz) / 200).clamp(0, 1)
    return 10 ** (response_db / 20) * passed[:, None]


def _driven(stems: Tensor, lot: Tensor, drive: Tensor, mixing: Mixing) -> Tensor:
    """Distorts some of the stems, which keep their loudness; drums half as often as the others."""
    share = torch.full_like(lot, mixing.driven)
    share[:, STEMS.index("drums")] /= 2
    rms = stems.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5)
    hot = stems / rms * (2 ** (drive * 5 - 2))[..., None]
    bent = hot.tanh()
    bent = bent * rms / bent.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5)
    return torch.where((lot < share)[..., None], bent, stems)
