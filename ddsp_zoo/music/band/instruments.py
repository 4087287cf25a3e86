"""Own pitched instruments for rendered bands: strings, bars, FM keys, organs and synthesisers, no samples.

Each instrument draws its parameters once from a random generator, so every track has another sound; then it
renders one note at a time and finishes the sum with what all notes go through together: amplifier, body.
Everything is limited to below the Nyquist frequency by construction.
"""

import numpy as np
from scipy import ndimage

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.music.band.drums import DrumKit
from ddsp_zoo.music.band.scores import Note, Part
from ddsp_zoo.music.signals import (
    TABLE_LENGTH,
    Audio,
    band,
    decay,
    decaying_partials,
    drive,
    fade,
    log_uniform,
    peak_filter,
    read_table,
)


class Instrument:
    """Base of pitched instruments: notes are rendered one by one, summed and finished."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        self.rng, self.program, self.rate_hz = rng, program, rate_hz
        self.tuning = float(rng.normal(0, 0.06))  # semitones that the whole instrument is off

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """One dry note, its release included."""
        raise NotImplementedError

    def finish(self, audio: Audio) -> Audio:
        """What the sum of all notes goes through."""
        return audio

    def render(self, notes: tuple[Note, ...], seconds: float) -> Audio:
        """Play notes -> (seconds * rate,)."""
        audio = np.zeros(round(seconds * self.rate_hz))
        for note in notes:
            frequency = midi_to_hz(note.midi + self.tuning + self.rng.normal(0, 0.02))
            sound = self.note(frequency, note.velocity, note.length_seconds)
            start = round(note.start_seconds * self.rate_hz)
            room = audio[start : start + len(sound)]
            room += sound[: len(room)] * note.velocity**1.3
        return self.finish(audio)

    def vibrato(self, audio: Audio, rate_hz: float, cents: float) -> Audio:
        """Bend a note's pitch to and fro, after its attack, by reading it at uneven times."""
        time = np.arange(len(audio)) / self.rate_hz
        depth = cents / 1731 * self.rate_hz / (2 * np.pi * rate_hz)
        places = np.arange(len(audio)) + depth * np.clip(time * 4 - 0.6, 0, 1) * np.sin(
            2 * np.pi * rate_hz * time
        )
        return ndimage.map_coordinates(audio, places[None], order=3, mode="constant", prefilter=False)


class String(Instrument):
    """Plucked or struck string: dying, slightly inharmonic partials shaped by where it is plucked and heard.

    The amplitude of partial k is sin(pi k p) / k^s at pluck position p, seen by a pickup at q through
    sin(pi k q); s is 2 for a string's displacement, near 0 for its velocity and a hard pick (Fletcher and
    Rossing, The Physics of Musical Instruments, ch. 2). Higher partials die sooner.
    """

    pluck = (0.08, 0.3)
    pickup: tuple[float, float] | None = None
    slope = (0.2, 1.0)
    stiffness = (2e-5, 1.5e-4)
    t60 = (2.0, 5.0)
    damping_hz = (1500.0, 6000.0)
    bright_hz = (1500.0, 7000.0)
    release = 0.05
    noise = (0.0, 0.15)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.place = float(rng.uniform(*self.pluck))
        self.heard = float(rng.uniform(*self.pickup)) if self.pickup else None
        self.steepness = float(rng.uniform(*self.slope))
        self.bend = log_uniform(rng, *self.stiffness)
        self.ring_seconds = log_uniform(rng, *self.t60)
        self.damped_above_hz = log_uniform(rng, *self.damping_hz)
        self.bright_up_to_hz = log_uniform(rng, *self.bright_hz)
        self.scrape = float(rng.uniform(*self.noise))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        samples = int((seconds + self.release) * self.rate_hz)
        k = np.arange(1, int(min(0.47 * self.rate_hz, 6 * self.bright_up_to_hz) / frequency_hz) + 1)
        partial_hz = frequency_hz * k * np.sqrt(1 + self.bend * k**2)
        k, partial_hz = k[partial_hz < 0.47 * self.rate_hz], partial_hz[partial_hz < 0.47 * self.rate_hz]
        place = self.place + self.rng.uniform(-0.02, 0.02)
        loud = np.sin(np.pi * k * place) * np.exp(-partial_hz / (self.bright_up_to_hz * (0.4 + velocity)))
        loud /= k**self.steepness
        if self.heard:
            loud = loud * np.sin(np.pi * k * self.heard)
        t60 = self.ring_seconds * (110 / frequency_hz) ** 0.4 / (1 + partial_hz / self.damped_above_hz)
        phase = self.rng.normal(-np.pi / 2, 0.5, len(k))  # sines: a sum of cosines would start with a spike
        audio = decaying_partials(partial_hz, loud, t60, phase, samples, self.rate_hz)
        audio /= np.sqrt(np.sum(loud**2)) + 1e-9
        attack = min(samples, int(0.008 * self.rate_hz))
        audio[:attack] += (
            self.scrape * velocity * self.rng.standard_normal(attack) * np.linspace(1, 0, attack)
        )
        return fade(audio, 0.001, self.release, self.rate_hz)


class Bass(String):
    """Electric or upright bass: finger, pick, fretless, slapped, or damped with the palm."""

    pluck, pickup, slope = (0.1, 0.3), (0.08, 0.25), (0.6, 1.1)
    bright_hz, damping_hz = (400.0, 2200.0), (500.0, 3000.0)
    t60, noise = (1.5, 6.0), (0.0, 0.1)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.amount = float(rng.choice((0.1, 0.5, 1.5)))
        self.tone_hz = log_uniform(rng, 1200, 6000)
        self.fretless = program == 35
        self.slapped = program in (36, 37)
        if program == 32 or rng.random() < 0.15:
            self.ring_seconds, self.bright_up_to_hz = log_uniform(rng, 0.4, 1.2), self.bright_up_to_hz * 0.6
        if program == 34 or self.slapped:
            self.place, self.bright_up_to_hz = 0.08, self.bright_up_to_hz * (3 if self.slapped else 1.8)
            self.scrape = float(rng.uniform(0.1, 0.4))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        audio = super().note(frequency_hz, velocity, seconds)
        if self.fretless:
            audio = fade(self.vibrato(audio, 5.0, 12), 0.02, 0, self.rate_hz)
        return audio

    def finish(self, audio: Audio) -> Audio:
        return band(drive(audio, self.amount * (2 if self.slapped else 1)), 30, self.tone_hz, self.rate_hz)


class Guitar(String):
    """Nylon and steel strings on a body, clean and palm-damped electric ones, overdrive and distortion."""

    t60 = (1.5, 5.0)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.acoustic = program in (24, 25)
        self.driven = program in (29, 30)
        if not self.acoustic:
            self.heard = float(rng.uniform(0.06, 0.25))
        if program == 24:
            self.bright_up_to_hz *= 0.6
        if program == 28:
            self.ring_seconds = log_uniform(rng, 0.12, 0.4)
        if self.driven:
            self.ring_seconds *= 2
        self.amount = (
            log_uniform(rng, 2, 8) * (3 if program == 30 else 1) if self.driven else rng.uniform(0.05, 0.8)
        )
        self.cabinet_hz = log_uniform(rng, 3500, 6500)
        self.presence_db = float(rng.uniform(4, 12) if self.driven else rng.uniform(0, 6))
        self.body_hz = np.array((100, 200, 420)) * rng.uniform(0.85, 1.15, 3)
        self.vibrato_cents = float(rng.uniform(0, 25)) if self.driven or rng.random() < 0.2 else 0.0

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        audio = super().note(frequency_hz, velocity, seconds)
        return self.vibrato(audio, 5.2, self.vibrato_cents) if self.vibrato_cents and seconds > 0.3 else audio

    def finish(self, audio: Audio) -> Audio:
        if self.acoustic:
            for centre_hz in self.body_hz:
                audio = peak_filter(audio, float(centre_hz), 5, 3, self.rate_hz)
            return band(audio, 70, None, self.rate_hz)
        audio = drive(band(audio, 110 if self.driven else 70, None, self.rate_hz), float(self.amount))
        audio = peak_filter(audio, 0.6 * self.cabinet_hz, self.presence_db, 0.8, self.rate_hz)
        return band(audio, 75, self.cabinet_hz, self.rate_hz, order=3 if self.driven else 1)


class Piano(String):
    """Struck strings, without pedal: pianos, harpsichord, harp and the plucked strings of the world."""

    pluck, slope, stiffness, t60 = (0.1, 0.14), (0.7, 1.2), (1e-4, 6e-4), (3.0, 9.0)
    damping_hz, bright_hz, release = (700.0, 2000.0), (1000.0, 3500.0), 0.12


class Bars(Instrument):
    """Struck bars and bells: few partials, far apart."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.ratios = np.array(
            ((1, 4, 10), (1, 3, 9.2), (1, 2.76, 5.4), (1, 2.0, 3.01))[int(rng.integers(4))]
        )
        self.loud = np.array((1, rng.uniform(0.1, 0.6), rng.uniform(0.03, 0.3)))
        self.ring_seconds = log_uniform(rng, 0.4, 4)

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        samples = int((seconds + 0.3) * self.rate_hz)
        partial_hz = frequency_hz * self.ratios
        loud = self.loud * (velocity ** np.arange(3)) * (partial_hz < 0.47 * self.rate_hz)
        t60 = self.ring_seconds / self.ratios**0.7 * (262 / frequency_hz) ** 0.3
        audio = decaying_partials(partial_hz, loud, t60, np.zeros(3), samples, self.rate_hz)
        return fade(audio, 0.001, 0.3, self.rate_hz)


class ElectricPiano(Instrument):
    """Tines by frequency modulation; harder strokes are brighter (Chowning 1973)."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.ratio = float(rng.choice((1, 1, 2, 3)))
        self.index = float(rng.uniform(0.5, 2.5))
        self.tine = float(rng.uniform(0, 0.15))
        self.ring_seconds = log_uniform(rng, 1.5, 5)
        self.tremolo = float(rng.uniform(0, 0.5)), float(rng.uniform(3, 7))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        samples = int((seconds + 0.1) * self.rate_hz)
        turn = 2 * np.pi * frequency_hz * np.arange(samples) / self.rate_hz
        # Carson's rule: side bands reach about (index + 1) * ratio * f0 above the carrier.
        room = 0.45 * self.rate_hz / frequency_hz / self.ratio - 1
        index = np.clip(self.index * velocity, 0, max(room - 1, 0)) * decay(1.0, samples, self.rate_hz)
        audio = np.sin(turn + index * np.sin(self.ratio * turn)) * decay(
            self.ring_seconds, samples, self.rate_hz
        )
        if 14 * frequency_hz < 0.45 * self.rate_hz:
            audio += self.tine * velocity * np.sin(14 * turn) * decay(0.3, samples, self.rate_hz)
        return fade(audio, 0.002, 0.1, self.rate_hz)

    def finish(self, audio: Audio) -> Audio:
        depth, rate_hz = self.tremolo
        return audio * (
            1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate_hz * np.arange(len(audio)) / self.rate_hz))
        )


class Organ(Instrument):
    """Drawbars: nine sine waves per key, and a rotating speaker or a pipe's steadiness."""

    feet = np.array((1, 2, 3, 4, 6, 8, 10, 12, 16))  # harmonics of the sub-octave

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.bars = rng.integers(0, 9, 9) / 8 * np.array((0.6, 1, 0.6, 1, 0.5, 0.7, 0.4, 0.4, 0.5))
        self.bars[1] = max(self.bars[1], 0.5)
        self.rotor_hz = float(rng.choice((0.0, 0.8, 6.5)))
        self.amount = float(rng.choice((0.05, 1.0, 2.5)))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        samples = int((seconds + 0.04) * self.rate_hz)
        time = np.arange(samples) / self.rate_hz
        harmonics = np.zeros(16)
        harmonics[self.feet - 1] = self.bars * (self.feet * frequency_hz / 2 < 0.47 * self.rate_hz)
        wobble = 0.004 * np.sin(2 * np.pi * self.rotor_hz * time)
        audio = read_table(harmonics / np.sqrt(np.sum(harmonics**2) + 1e-9), frequency_hz / 2 * time + wobble)
        return fade(audio / max(velocity, 0.2) ** 0.8, 0.006, 0.03, self.rate_hz)  # keys hardly feel velocity

    def finish(self, audio: Audio) -> Audio:
        time = np.arange(len(audio)) / self.rate_hz
        return drive(audio, self.amount) * (1 + 0.2 * np.sin(2 * np.pi * self.rotor_hz * time))


class Synth(Instrument):
    """Saw, square and triangle waves through a low-pass whose envelope opens and closes.

    The moving filter is a crossfade between two band-limited tables, one per end of the envelope.
    """

    voices: tuple[int, ...] = (1,)
    attack, release = (0.003, 0.02), 0.08
    cutoff_hz, opening = (800.0, 6000.0), (1.0, 8.0)
    closing_seconds = (0.1, 1.5)
    vibrato_cents = (0.0, 0.0)
    breath = (0.0, 0.0)
    dying = (4.0, 20.0)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.odd_only = float(rng.choice((0.0, 0.0, 1.0, 0.7)))
        self.slope = float(rng.choice((0.7, 1.0, 1.0, 1.5)))
        self.unison = int(rng.choice(self.voices))
        self.detune_cents = float(rng.uniform(3, 18))
        self.rise_seconds = log_uniform(rng, *self.attack)
        self.closed_hz = log_uniform(rng, *self.cutoff_hz)
        self.open_hz = self.closed_hz * log_uniform(rng, *self.opening)
        self.close_seconds = log_uniform(rng, *self.closing_seconds)
        self.resonance = float(rng.uniform(0, 1.5))
        self.swing_cents = float(rng.uniform(*self.vibrato_cents))
        self.swing_hz = float(rng.uniform(4.5, 6.5))
        self.air = float(rng.uniform(*self.breath))
        self.ring_seconds = log_uniform(rng, *self.dying)

    def spectrum(self, frequency_hz: float, cutoff_hz: float) -> Audio:
        """Harmonics of the wave behind a resonant low-pass of 24 dB per octave."""
        k = np.arange(1, int(min(0.47 * self.rate_hz / frequency_hz, TABLE_LENGTH // 4)) + 1)
        wave = np.where(k % 2 == 0, 1 - self.odd_only, 1.0) / k**self.slope
        ratio = k * frequency_hz / cutoff_hz
        bump = 1 + self.resonance * np.exp(-np.square(np.log2(ratio) / 0.4))
        return wave * bump / np.sqrt(1 + ratio**8)

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        samples = int((seconds + self.release) * self.rate_hz)
        time = np.arange(samples) / self.rate_hz
        swing = (
            self.swing_cents / 1731 * np.clip(time * 3 - 0.5, 0, 1) * np.sin(2 * np.pi * self.swing_hz * time)
        )
        turns = frequency_hz * np.cumsum(1 + swing) / self.rate_hz
        opening = np.exp(-time / self.close_seconds) * (0.3 + 0.7 * velocity)
        ends = [
            self.spectrum(frequency_hz, hz) for hz in (max(self.closed_hz, 1.2 * frequency_hz), self.open_hz)
        ]
        audio = np.zeros(samples)
        for cents in np.linspace(-1, 1, self.unison) * self.detune_cents if self.unison > 1 else (0.0,):
            phase = turns * 2 ** (cents / 1200) + self.rng.random()
            closed, opened = (read_table(end, phase) for end in ends)
            audio += closed + opening * (opened - closed)
        audio /= np.sqrt(self.unison * np.sum(ends[0] ** 2) + 1e-9)  # no harmonics: a note beyond the rate
        if self.air:
            breath = band(
                self.rng.standard_normal(samples), frequency_hz, 6 * frequency_hz, self.rate_hz, order=1
            )
            audio += self.air * breath
        audio *= decay(self.ring_seconds, samples, self.rate_hz)
        return fade(audio, min(self.rise_seconds, seconds), self.release, self.rate_hz)


class SynthBass(Synth):
    """Analogue bass: one or two voices, plucky or held."""

    voices, release, cutoff_hz, opening = (1, 1, 2), 0.03, (120.0, 600.0), (1.5, 12.0)
    closing_seconds, dying = (0.05, 0.6), (1.5, 20.0)


class Pad(Synth):
    """Slow chords of many voices: strings, choirs, pads."""

    voices, attack, release = (2, 3), (0.05, 0.4), 0.3
    cutoff_hz, opening, dying = (900.0, 6000.0), (1.0, 2.0), (20.0, 60.0)


class Bowed(Synth):
    """A single bowed string: saw with vibrato."""

    attack, cutoff_hz, opening = (0.03, 0.12), (2500.0, 8000.0), (1.0, 1.5)
    vibrato_cents, breath, dying = (8.0, 30.0), (0.0, 0.05), (20.0, 60.0)


class Brass(Synth):
    """Brass: brightness that follows the attack."""

    voices, attack, cutoff_hz, opening = (1, 2, 3), (0.02, 0.06), (1200.0, 3500.0), (1.5, 4.0)
    vibrato_cents, dying = (0.0, 12.0), (10.0, 60.0)


class Wind(Synth):
    """Reeds and flutes: few harmonics, breath, vibrato."""

    attack, cutoff_hz, opening = (0.02, 0.08), (900.0, 5000.0), (1.0, 1.5)
    vibrato_cents, breath, dying = (5.0, 25.0), (0.02, 0.15), (20.0, 60.0)


class Lead(Synth):
    """Synthesiser lead."""

    voices, cutoff_hz, vibrato_cents, dying = (1, 2), (1200.0, 7000.0), (0.0, 25.0), (3.0, 40.0)


# Which instrument plays the General MIDI programs from a number on, up to the next number.
FAMILIES: tuple[tuple[int, type[Instrument]], ...] = (
    (0, Piano),
    (4, ElectricPiano),
    (6, Piano),
    (8, Bars),
    (16, Organ),
    (24, Guitar),
    (32, Bass),
    (38, SynthBass),
    (40, Bowed),
    (45, Piano),
    (48, Pad),
    (56, Brass),
    (64, Wind),
    (80, Lead),
    (88, Pad),
    (104, Piano),
)


def own_instrument(program: int) -> type[Instrument]:
    """The class that plays a General MIDI program (0..127)."""
    return max((entry for entry in FAMILIES if entry[0] <= program), key=lambda entry: entry[0])[1]


def render_part(part: Part, seconds: float, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Render a part with the own instrument of its program, or a drum kit -> (seconds * rate,)."""
    if part.stem == "drums":
        return DrumKit(rng, rate_hz).render(part.notes, seconds)
    return own_instrument(part.program)(rng, part.program, rate_hz).render(part.notes, seconds)
