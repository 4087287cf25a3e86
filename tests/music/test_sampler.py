"""The sampler of rendered bands: banks, their sources, and what is played from them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music import drum_kits
from ddsp_zoo.music.band import banks as band_banks
from ddsp_zoo.music.band.banks import Source, loop_smoothly, open_bank
from ddsp_zoo.music.band.scores import Note, Part
from ddsp_zoo.music.band.sounds import drum_events, pitched_events
from ddsp_zoo.music.sampler import Bank, Events, RecordedNote, play, play_rate, write_bank
from ddsp_zoo.music.signals import Audio

RATE = 8000
EVER = 1e6


def sine(hz: float, seconds: float, rate: int = 2 * RATE) -> Audio:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def bank_of(folder: Path, *recordings: RecordedNote) -> Bank:
    folder.mkdir(parents=True)
    write_bank(folder, recordings)
    return Bank.read(folder)


def one(speed: float = 1.0, hold: float = EVER, damp: float = EVER, release: float = 0.05) -> Events:
    values = (0, 0.1, speed, 1.0, hold, damp, release)
    return Events(*(np.array([value]) for value in values))


def write_kit(folder: Path, names: tuple[str, ...], layers: int = 1) -> Path:
    """A drum kit whose instruments are sines, 100 Hz higher from each to the next, a louder one per layer."""
    folder.mkdir(parents=True)
    instruments = ""
    for number, name in enumerate(names):
        text = ""
        for layer in range(layers):
            file = f"{number}_{layer}.wav"
            sf.write(folder / file, 0.5 * (layer + 1) / layers * sine(200 + 100 * number, 0.5, 44100), 44100)
            text += (
                f"<layer><filename>{file}</filename><max>{(layer + 1) / layers}</max><gain>1</gain></layer>"
            )
        instruments += f"<instrument><name>{name}</name>{text}</instrument>"
    (folder / "drumkit.xml").write_text(f'<drumkit_info xmlns="http://x"><l>{instruments}</l></drumkit_info>')
    return folder


# ---- playing


def test_a_recording_is_read_faster_and_nothing_folds_back(tmp_path: Path, loudest_hz) -> None:
    assert play_rate(RATE) == 2 * RATE and play_rate(44100) == 44100
    low = bank_of(tmp_path / "low", RecordedNote(57, 1.0, sine(220, 2)))
    audio = play(low, one(1.5), 1.0, RATE)
    assert audio.shape == (RATE,) and not audio[: RATE // 10 - 40].any()
    assert loudest_hz(audio[1000:], RATE, 100, 1000) == pytest.approx(330, abs=0.5)
    spectrum = np.abs(np.fft.rfft(audio[2000:7000] * np.blackman(5000)))
    far = np.abs(np.fft.rfftfreq(5000, 1 / RATE) - 330) > 30
    assert spectrum[far].max() < 1e-3 * spectrum.max()
    high = bank_of(tmp_path / "high", RecordedNote(57, 1.0, sine(3600, 2)))
    assert np.abs(play(high, one(1.25), 1.0, RATE)[2000:]).max() < 0.12  # 4500 Hz are beyond the rate


def test_notes_are_held_damped_and_let_go(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "bank", RecordedNote(57, 1.0, sine(1000, 4)))

    def level_db(audio: Audio, at: float) -> float:
        place = round((0.1 + at) * RATE)
        return 20 * np.log10(audio[place : place + 40].std() * 2**0.5)

    audio = play(bank, one(hold=1.0, release=0.4), 3.0, RATE)
    assert level_db(audio, 0.9) == pytest.approx(0, abs=0.2)
    assert level_db(audio, 1.2) == pytest.approx(-30, abs=1)
    assert not audio[round(1.6 * RATE) :].any()
    assert level_db(play(bank, one(damp=2.0), 3.0, RATE), 1.0) == pytest.approx(-30, abs=1)


def test_a_steady_tone_goes_on_without_a_seam(tmp_path: Path) -> None:
    tone = sine(221.3, 3.9) + 0.3 * sine(442.6, 3.9)
    looped, start = loop_smoothly(tone, 2 * RATE)
    assert len(looped) <= len(tone) + 3 and 0 < start < len(looped) // 2
    audio = play(bank_of(tmp_path / "b", RecordedNote(57, 1.0, looped, loop=start)), one(), 12.0, RATE)[RATE:]
    levels = np.sqrt(np.mean(np.square(audio.reshape(-1, RATE // 4)), axis=1))
    assert levels.max() / levels.min() < 1.03
    assert np.abs(np.diff(audio, 2)).max() < 1.1 * np.abs(np.diff(audio[: 2 * RATE], 2)).max()


def test_banks_keep_levels_and_sixteen_bits(tmp_path: Path) -> None:
    quiet, loud = 0.01 * sine(300, 0.5), 0.8 * sine(300, 0.5)
    bank = bank_of(
        tmp_path / "bank", RecordedNote(60.3, 0.4, quiet, 0.4), RecordedNote(60, 0.9, loud, variant=1, loop=7)
    )
    for row, audio in enumerate((quiet, loud)):
        kept = bank.samples[bank.first[row] :][: bank.length[row]] * bank.gain[row]
        assert np.abs(kept - audio).max() < np.abs(audio).max() / 30000
    assert bank.midi.tolist() == [60.3, 60] and bank.loop.tolist() == [-1, 7]
    assert bank.reference.tolist() == [0.4, 1.0] and bank.variant.tolist() == [0, 1]


# ---- which recordings, and how


def test_near_recordings_play_in_tune_and_a_bass_plays_one_note_at_a_time(tmp_path: Path) -> None:
    recordings = [RecordedNote(midi + 0.2, v, sine(100, 0.1)) for midi in (30, 36, 42) for v in (0.3, 0.9)]
    bank = bank_of(tmp_path / "bank", *recordings)
    notes = tuple(
        Note(start, 2.0, midi, v) for start, midi, v in ((0, 31, 0.9), (0.5, 41, 0.9), (1.0, 41, 0.2))
    )
    events = pitched_events(Part("bass", 33, notes), bank, np.random.default_rng(0))
    assert np.abs(bank.midi[events.recording] - [31, 41, 41]).max() < 2
    assert bank.velocity[events.recording].tolist() == [0.9, 0.9, 0.3]
    sounding = bank.midi[events.recording] + 12 * np.log2(events.speed)
    assert np.abs(sounding - [31, 41, 41]).max() < 0.4
    assert events.hold_seconds.tolist() == [0.5, 0.5, 2.0]
    chord = pitched_events(Part("guitar", 27, notes), bank, np.random.default_rng(0))
    assert chord.hold_seconds.tolist() == [2.0] * 3
    assert events.gain[1] > 3 * events.gain[2]


def test_a_kit_lends_what_it_lacks_and_hats_end_each_other(tmp_path: Path) -> None:
    kinds = [(midi, v, k) for midi in (36, 38, 42, 46, 45) for v in (0.3, 1.0) for k in (0, 1)]
    kit = bank_of(tmp_path / "kit", *(RecordedNote(midi, v, sine(9, 0.1), variant=k) for midi, v, k in kinds))
    drums = (35, 46, 42, 57, 41, 81)  # the crash becomes an open hat, the triangle stays silent
    part = Part("drums", 0, tuple(Note(0.3 * place, 0.1, drum, 0.95) for place, drum in enumerate(drums)))
    events = drum_events(part, kit, 1.3, np.random.default_rng(0))
    assert kit.midi[events.recording].tolist() == [36, 46, 42, 46, 45]
    assert set(kit.velocity[events.recording]) == {1.0}
    assert events.hold_seconds[1] == pytest.approx(0.3) and events.hold_seconds[2:].min() > 100
    roll = Part("drums", 0, tuple(Note(0.1 * place, 0.1, 38, 0.9) for place in range(20)))
    played = drum_events(roll, kit, 1.3, np.random.default_rng(1))
    assert len(set(kit.variant[played.recording])) == 1 and len(set(played.speed)) == 20
    triangle = Part("drums", 0, (Note(0, 0.1, 81, 1.0),))
    assert len(drum_events(triangle, kit, 1.3, np.random.default_rng(0)).recording) == 0


# ---- where banks come from


def test_notes_named_by_pitch_are_tuned_by_ear(tmp_path: Path, loudest_hz) -> None:
    for name, midi in (("a3_vl1", 57), ("A3_vl2", 57), ("eb4_vl1", 63), ("Eb4_vl2", 63)):
        hz = 440 * 2 ** ((midi + 0.3 - 69) / 12)
        sf.write(tmp_path / f"{name}.wav", sum(0.2 * sine(k * hz, 2, 44100) / k for k in (1, 2, 3)), 44100)
    sf.write(tmp_path / "readme.wav", sine(100, 0.1), 16000)
    bank = open_bank(Source("notes", tmp_path), tmp_path / "banks", RATE)
    assert sorted(np.round(bank.midi, 1)) == [57.3, 57.3, 63.3, 63.3]
    assert sorted(set(bank.velocity)) == [0.5, 1.0]
    events = pitched_events(Part("guitar", 27, (Note(0, 1.0, 58, 0.9),)), bank, np.random.default_rng(0))
    heard = loudest_hz(play(bank, events, 1.2, RATE)[400:6000], RATE, 150, 350)
    assert abs(12 * np.log2(heard / 440) + 69 - 58) < 0.35


def test_an_sfz_file_places_the_notes(tmp_path: Path) -> None:
    for name in ("E", "B"):
        sf.write(tmp_path / f"{name}.flac", 0.3 * sine(82.4 if name == "E" else 123.5, 1, 16000), 16000)
    regions = "\n".join(
        f"<region>\n lokey={key}\n pitch_keycenter={key}\n sample=samples\\x\\{name}.flac"
        for name, key in (("E", 40), ("B", 47), ("missing", 50))
    )
    (tmp_path / "a bass.sfz").write_text(f"// comment\n<group> ampeg_release=0.5\n{regions}\n")
    bank = open_bank(Source("notes", tmp_path), tmp_path / "banks", RATE)
    assert np.round(bank.midi).tolist() == [40, 47]


def test_drums_are_known_by_their_names(tmp_path: Path) -> None:
    known = {
        "Kick Low 1": 36,
        "BassDrum": 36,
        "Snare (Pearl 14x3.5)": 38,
        "Side Stick": 37,
        "Pearl Snare Rimshot": 40,
        "Closed HH": 42,
        "Sabian Hat Open": 46,
        "Pedal HH": 44,
        "Tom Low": 43,
        "Tom Mid": 47,
        "Pearl Tom 1": 50,
        "Crash Left": 49,
        "Ride Bell": 53,
        "Ride Rock": 51,
        "Cowbell": 56,
        "Hand Clap": 39,
        "Splash": 55,
        "Snare Roll": None,
        "15": None,
    }
    assert {name: drum_kits.drum_of(name) for name in known} == known
    kit = write_kit(tmp_path / "kit", ("Kick", "Snare 1", "Snare 2", "Closed HH", "Whistle"), layers=2)
    hits = drum_kits.read_kit(kit)
    assert [(hit.midi, hit.variant, hit.velocity) for hit in hits[2:6]] == [
        (38, 0, 0.5),
        (38, 0, 1.0),
        (38, 1, 0.5),
        (38, 1, 1.0),
    ]
    bank = open_bank(Source("kit", kit), tmp_path / "banks", RATE)
    assert len(bank.midi) == 8 and bank.gain[1] == pytest.approx(2 * bank.gain[0], rel=0.01)


def test_folders_of_other_things_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="lacks a kick"):
        drum_kits.read_kit(write_kit(tmp_path / "half", ("Kick", "Closed HH")))
    with pytest.raises(DdspZooError, match="no Hydrogen drum kit"):
        drum_kits.read_kit(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DdspZooError, match="named by pitch"):
        open_bank(Source("notes", tmp_path / "empty"), tmp_path / "banks", RATE)
    sf.write(tmp_path / "empty" / "A3.wav", np.zeros(8000), 8000)
    with pytest.raises(DdspZooError, match="A3.wav is silent"):
        open_bank(Source("notes", tmp_path / "empty"), tmp_path / "banks", RATE)
    (tmp_path / "empty" / "A3.wav").write_bytes(b"no sound")
    with pytest.raises(DdspZooError, match="A3.wav cannot be read"):
        open_bank(Source("notes", tmp_path / "empty"), tmp_path / "banks", RATE)
    assert not [path for path in (tmp_path / "banks").iterdir() if path.is_dir()]


def test_a_bank_is_made_once_and_again_when_its_files_change(tmp_path: Path, monkeypatch) -> None:
    kit, made = write_kit(tmp_path / "kit", ("Kick", "Snare", "Closed HH")), []
    write = band_banks.write_bank
    monkeypatch.setattr(band_banks, "write_bank", lambda *args: (made.append(1), write(*args)))
    for _ in range(2):
        open_bank(Source("kit", kit), tmp_path / "banks", RATE)
    assert len(made) == 1
    open_bank(Source("kit", kit), tmp_path / "banks", 16000)
    sf.write(kit / "0_0.wav", sine(50, 0.3), 16000)
    open_bank(Source("kit", kit), tmp_path / "banks", RATE)
    assert len(made) == 3
