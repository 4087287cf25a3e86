"""Scores that tests of bands share."""

from pathlib import Path

import mido

from ddsp_zoo.music.band import scores as band_scores
from ddsp_zoo.music.band.scores import Note


def line(*midi: int, seconds: float = 0.5) -> tuple[Note, ...]:
    return tuple(Note(index * seconds, seconds * 0.9, number, 0.8) for index, number in enumerate(midi))


def write_piece(path: Path, bars: int = 8, tempo: int = 500_000, drums_only: bool = False) -> None:
    """A General MIDI file of drums, and of bass, guitar and organ unless ``drums_only``."""
    file = mido.MidiFile(ticks_per_beat=480)
    players = [(9, 0, 38)] if drums_only else [(9, 0, 38), (0, 33, 40), (1, 27, 60), (2, 16, 72)]
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)]))
    for channel, program, note in players:
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for _ in range(8 * bars):
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=100))
            track.append(mido.Message("note_off", channel=channel, note=note, time=240))
        file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


def name_in(split: str) -> str:
    """A file name that the hash puts into a split."""
    names = (f"piece{number}.mid" for number in range(100))
    return next(name for name in names if band_scores.split_of(Path(name)) == split)
