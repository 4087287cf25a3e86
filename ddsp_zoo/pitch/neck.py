"""Describes what is under a guitarist's left hand: the tuning of the strings and the capo."""

import re
from dataclasses import dataclass

from ddsp_zoo.errors import DdspZooError

FRETS = 25  # of a string, the open one among them
REST = FRETS  # the state of a string that plays none of them
STANDARD = (40, 45, 50, 55, 59, 64)  # MIDI pitches of the open strings, low to high
LOWEST, HIGHEST = 34, 81  # MIDI pitches that an open string can have, with the capo
HIGHEST_CAPO = 12
SPLIT = re.compile(r"[A-G][#b]?-?\d*")  # what is written without anything between
NOTE = re.compile(r"([A-Ga-g])([#b]?)(-?\d+)?")
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Neck:
    """Holds how the strings are tuned, as MIDI pitches low to high, and the fret that a capo lies on, 0 for none.

    Raises `DdspZooError` for strings that are not six or lie where no guitar has them, and for a capo beyond fret 12.
    """

    tuning: tuple[int, ...] = STANDARD
    capo: int = 0

    def __post_init__(self) -> None:
        if len(self.tuning) != len(STANDARD):
            raise DdspZooError(
                f"A tuning names six strings, low to high, got {len(self.tuning)}: strings of guitars with more or "
                "fewer are not told apart."
            )
        if not 0 <= self.capo <= HIGHEST_CAPO:
            raise DdspZooError(f"A capo lies on fret 1 to {HIGHEST_CAPO}, or 0 for none; got {self.capo}.")
        for pitch in self.opened:
            if not LOWEST <= pitch <= HIGHEST:
                raise DdspZooError(
                    f"An open string cannot be {pitch_name(pitch)}: those from {pitch_name(LOWEST)} to "
                    f"{pitch_name(HIGHEST)} are known, the capo counted."
                )

    @classmethod
    def parse(cls, tuning: str | None = None, capo: int = 0) -> "Neck":
        """Reads a tuning, low to high, as "E2,A2,D3,G3,B3,E4", or as "DADGAD".

        Without octaves each string is the one nearest to its standard pitch, of two the lower. None is the standard
        tuning. Raises `DdspZooError` for what names no six strings.
        """
        return cls(STANDARD if tuning is None else _read(tuning), capo)

    @property
    def opened(self) -> tuple[int, ...]:
        """Returns the MIDI pitches of the open strings, the capo counted."""
        return tuple(pitch + self.capo for pitch in self.tuning)

    @property
    def frets(self) -> int:
        """Returns the number of frets of a string above the capo, the open one among them."""
        return FRETS - self.capo


def pitch_name(midi: int) -> str:
    """Returns the name of a MIDI pitch, for example "F#3" of 54."""
    return f"{NAMES[midi % 12]}{midi // 12 - 1}"


def _read(tuning: str) -> tuple[int, ...]:
    """The MIDI pitches of a tuning."""
    words = tuning.replace(",", " ").split()
    if len(words) == 1:
        words = list(tuning) if tuning.isalpha() and len(tuning) == len(STANDARD) else SPLIT.findall(tuning)
    notes = [NOTE.fullmatch(word) for word in words]
    if len(notes) != len(STANDARD) or None in notes or len("".join(words)) < len(re.sub("[ ,]", "", tuning)):
        raise DdspZooError(
            f"{tuning:.60} is no tuning of six strings: name them low to high, as E2,A2,D3,G3,B3,E4 or DADGAD."
        )
    return tuple(_pitch(*note.groups(), usual) for note, usual in zip(notes, STANDARD, strict=True))


def _pitch(letter: str, sign: str, octave: str | None, usual: int) -> int:
    """The MIDI pitch of a note, in the octave nearest to the usual pitch where it names none."""
    pitch = SEMITONES[letter.upper()] + {"#": 1, "b": -1, "": 0}[sign]
    if octave is not None:
        return pitch + 12 * (int(octave) + 1)
    return usual - 6 + (pitch - usual + 6) % 12
