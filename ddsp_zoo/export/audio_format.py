"""Writes audio as it is asked for: kind of file, bits of a sample, and what becomes of what exceeds full scale."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from ddsp_zoo.errors import DdspZooError

# By bits, the usual number first; MP3 has none.
SUBTYPES: dict[str, dict[int | None, str]] = {
    "wav": {32: "FLOAT", 24: "PCM_24", 16: "PCM_16"},
    "flac": {24: "PCM_24", 16: "PCM_16"},
    "mp3": {None: "MPEG_LAYER_III"},
}
BITS = (16, 24, 32)
CLIPS = ("none", "clamp", "rescale")
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
LARGEST_WAV = 1 << 32  # bytes; beyond it the header of RF64 is needed
LOUDEST = 0.99  # what rescaling makes of the peak
BLOCK = 1 << 16  # samples that are copied at a time


@dataclass(frozen=True)
class AudioFormat:
    """Holds how audio is written.

    Args:
        name: "wav", "flac" or "mp3".
        bits: of a sample: 32 (floating-point, in WAV only), 24 or 16; None takes 32 in WAV, 24 in FLAC. MP3 has none.
        clip: of audio louder than full scale: "none" leaves it to the format (32-bit WAV keeps it, others cut it off),
            "clamp" cuts it off in all formats, "rescale" makes all files of a result quieter by one factor.

    Raises:
        DdspZooError: for what cannot be written so.
    """

    name: str = "wav"
    bits: int | None = None
    clip: str = "none"

    def __post_init__(self) -> None:
        if self.name not in SUBTYPES:
            raise DdspZooError(f"Stems are written as wav, flac or mp3, not as {self.name!r}.")
        if self.bits is not None and self.bits not in SUBTYPES[self.name]:
            there = " or ".join(str(bits) for bits in SUBTYPES[self.name] if bits)
            raise DdspZooError(
                f"{self.name.upper()} has {f'{there} bits' if there else 'no bits'}, not {self.bits}: "
                "choose others, or leave them out."
            )
        if self.clip not in CLIPS:
            raise DdspZooError(f"Clipping is one of {', '.join(CLIPS)}, not {self.clip!r}.")

    @classmethod
    def of(cls, given: "str | AudioFormat") -> "AudioFormat":
        """Returns a format that may be given by its name alone."""
        return given if isinstance(given, cls) else cls(given)

    @property
    def usual_bits(self) -> int | None:
        """Returns the bits of a sample where none are asked for."""
        return next(iter(SUBTYPES[self.name]))

    @property
    def subtype(self) -> str:
        """Returns what libsndfile calls the samples."""
        return SUBTYPES[self.name][self.bits or self.usual_bits]

    @property
    def keeps_peaks(self) -> bool:
        """Returns whether samples may exceed full scale."""
        return self.subtype == "FLOAT"

    def told(self) -> dict[str, Any]:
        """Returns what the list of a result says of it; bits and clipping only where they are not the usual ones."""
        bits = {} if self.bits in (None, self.usual_bits) else {"bits": self.bits}
        return {"format": self.name} | bits | ({} if self.clip == "none" else {"clip": self.clip})

    def check_rate(self, rate: int) -> None:
        """Raises `DdspZooError` for a rate of samples in Hz that there is not."""
        if self.name == "mp3" and rate not in MP3_RATES:
            raise DdspZooError(f"MP3 has no sample rate of {rate} Hz: write WAV or FLAC.")

    def create(self, path: Path, rate: int, channels: int, frames: int = 0) -> sf.SoundFile:
        """Creates a file, of ``frames`` samples where that is known."""
        size = (self.bits or self.usual_bits or 0) // 8 * channels * frames
        big = self.name == "wav" and size > LARGEST_WAV - 4096
        kind = "RF64" if big else self.name.upper()
        return sf.SoundFile(path, "w", rate, channels, self.subtype, format=kind)

    def limited(self, audio: np.ndarray) -> np.ndarray:
        """Returns audio without what is cut off."""
        return audio if self.keeps_peaks and self.clip != "clamp" else np.clip(audio, -1, 1)

    def gain(self, peak: float) -> float:
        """Returns the factor that rescales audio of this peak."""
        return LOUDEST / peak if self.clip == "rescale" and peak > 1 else 1.0

    def copy(self, draft: Path, path: Path, gain: float) -> None:
        """Writes a file of 32-bit samples in this format, times ``gain``."""
        with sf.SoundFile(draft) as source:
            with self.create(path, source.samplerate, source.channels, source.frames) as target:
                for block in source.blocks(BLOCK, dtype="float32", always_2d=True):
                    target.write(self.limited(gain * block))
