"""Renders drum kits of synthesised hits, without samples."""

import numpy as np

from ddsp_zoo.music.band.scores import Note
from ddsp_zoo.music.signals import Audio, band, decay, decaying_partials, drive, fade, log_uniform, sweep

VARIANTS = 3  # how many different hits a drum has, so that a roll does not sound like a machine
HATS = (42, 44, 46)


class DrumKit:
    """Renders one kit: its parameters are drawn once from ``rng``, its hits are made when they are first needed."""

    def __init__(self, rng: np.random.Generator, rate_hz: int) -> None:
        self.rng, self.rate_hz = rng, rate_hz
        draw = rng.uniform
        self.electronic = bool(rng.random() < 0.3)
        self.kick_hz = log_uniform(rng, 42, 75)
        self.kick_t60 = log_uniform(rng, 0.4, 1.6) if self.electronic else log_uniform(rng, 0.18, 0.5)
        self.kick_click = float(draw(0.05, 0.5))
        self.snare_hz = log_uniform(rng, 150, 260)
        self.snare_t60 = log_uniform(rng, 0.12, 0.4)
        self.snare_wires = float(draw(0.5, 1.6))
        self.wires_band = (float(draw(600, 2000)), float(draw(5000, 12000)))
        self.tom_hz = log_uniform(rng, 70, 105)
        self.tom_t60 = log_uniform(rng, 0.3, 0.9)
        self.metal_hz = log_uniform(rng, 300, 520)
        self.metal_ratios = np.sort(rng.uniform(1, 22, 48))
        self.metal_low_hz = float(draw(2500, 6500))
        self.hat_t60 = log_uniform(rng, 0.05, 0.16)
        self.crash_t60 = log_uniform(rng, 1.0, 2.6)
        self.amount = float(draw(0.2, 1.5))
        self.gain = {drum: float(10 ** (draw(-4, 4) / 20)) for drum in range(128)}
        self.hits: dict[tuple[int, int], tuple[Audio, Audio]] = {}

    def render(self, notes: tuple[Note, ...], seconds: float) -> Audio:
        """Plays hits (General MIDI drum numbers) -> (seconds * rate,); a closing hi-hat ends an open one."""
        audio = np.zeros(round(seconds * self.rate_hz))
        hats = sorted(note.start_seconds for note in notes if note.midi in HATS)
        for note in notes:
            hit = self.hit(note)
            start = round(note.start_seconds * self.rate_hz)
            if note.midi in HATS:
                following = np.searchsorted(hats, note.start_seconds + 1e-3)
                if following < len(hats):
                    length = int((hats[following] - note.start_seconds + 0.01) * self.rate_hz)
                    hit = fade(hit[:length].copy(), 0, 0.01, self.rate_hz)
            room = audio[start : start + len(hit)]
            room += hit[: len(room)]
        return drive(audio, self.amount)

    def hit(self, note: Note) -> Audio:
        """Returns one hit; a soft one is not only quieter but also duller."""
        key = note.midi, int(self.rng.integers(VARIANTS))
        if key not in self.hits:
            bright = self.strike(note.midi) * self.gain[note.midi]
            self.hits[key] = bright, band(bright, None, 2500, self.rate_hz, order=1)
        bright, dull = self.hits[key]
        return note.velocity**1.3 * (note.velocity * bright + (1 - note.velocity) * dull)

    def strike(self, midi: int) -> Audio:
        """Returns a hit at full velocity of the drum that has this number in General MIDI."""
        if midi in (35, 36):
            return self.kick()
        if midi in (38, 40):
            return self.snare()
        if midi in (37, 75, 76, 77):
            return self.stick(log_uniform(self.rng, 380, 480) * (1.5 if midi > 75 else 1))
        if midi == 39:
            return self.clap()
        if midi in HATS:
            return self.cymbal(self.hat_t60 * {42: 1.0, 44: 0.6, 46: 7.0}[midi], 0.9) * 0.5
        if midi in (41, 43, 45, 47, 48, 50):
            return self.tom(self.tom_hz * 1.19 ** ((41, 43, 45, 47, 48, 50).index(midi)))
        if midi in (49, 52, 55, 57):
            return self.cymbal(self.crash_t60 * (0.5 if midi == 55 else 1), 0.8) * 0.7
        if midi in (51, 53, 59):
            return self.ride(bell=midi == 53)
        if midi in (56, 67, 68):
            return self.cowbell(540 if midi == 56 else 900)
        if midi in (54, 58, 69, 70, 82):
            return self.shaker()
        if 60 <= midi <= 66:
            return self.tom(self.tom_hz * (4.6 - 0.45 * (midi - 60))) * 0.7
        return self.stick(log_uniform(self.rng, 600, 1500))

    def noise(self, seconds: float) -> Audio:
        """Returns white noise of a length in seconds."""
        return self.rng.standard_normal(int(seconds * self.rate_hz))

    def kick(self) -> Audio:
        """Returns a kick: a sine that falls to its pitch, and the click of the beater."""
        samples = int((self.kick_t60 + 0.05) * self.rate_hz)
        body = sweep(self.kick_hz * 4, self.kick_hz, 0.018, samples, self.rate_hz)
        body *= decay(self.kick_t60, samples, self.rate_hz)
        click = band(self.noise(0.02), 300, 4500, self.rate_hz) * decay(
            0.015, int(0.02 * self.rate_hz), self.rate_hz
        )
        body[: len(click)] += self.kick_click * click
        return fade(body, 0.0005, 0.02, self.rate_hz) * 1.4

    def snare(self) -> Audio:
        """Returns a snare: two modes of the drum head and the noise of the wires."""
        samples = int((self.snare_t60 + 0.1) * self.rate_hz)
        head = sweep(self.snare_hz * 1.3, self.snare_hz, 0.01, samples, self.rate_hz)
        head += 0.5 * sweep(self.snare_hz * 2, self.snare_hz * 1.62, 0.01, samples, self.rate_hz)
        wires = band(self.noise(self.snare_t60 + 0.2)[:samples], *self.wires_band, self.rate_hz)
        head *= decay(self.snare_t60 * 0.7, samples, self.rate_hz)
        wires *= decay(self.snare_t60, samples, self.rate_hz)
        return fade(0.5 * head + self.snare_wires * wires, 0.0003, 0.02, self.rate_hz)

    def tom(self, frequency_hz: float) -> Audio:
        """Returns a tom: a drum head whose pitch sinks a little."""
        t60 = self.tom_t60 * (self.tom_hz / frequency_hz) ** 0.5
        samples = int((t60 + 0.05) * self.rate_hz)
        body = sweep(frequency_hz * 1.35, frequency_hz, 0.03, samples, self.rate_hz)
        body += 0.25 * sweep(frequency_hz * 1.9, frequency_hz * 1.59, 0.02, samples, self.rate_hz)
        skin = band(self.noise(t60 + 0.06)[:samples], 400, 4000, self.rate_hz) * decay(
            0.04, samples, self.rate_hz
        )
        return fade(body * decay(t60, samples, self.rate_hz) + 0.3 * skin, 0.0005, 0.02, self.rate_hz)

    def cymbal(self, t60_seconds: float, hiss: float) -> Audio:
        """Returns a cymbal: many partials that are no multiples of one pitch, and noise that dies sooner."""
        samples = int(min(t60_seconds * 1.1, 3.0) * self.rate_hz)
        frequency = self.metal_hz * self.metal_ratios
        frequency = frequency[frequency < 0.47 * self.rate_hz]
        phase = self.rng.uniform(0, 2 * np.pi, len(frequency))
        loud = self.rng.uniform(0.3, 1, len(frequency)) / np.sqrt(len(frequency))
        t60 = t60_seconds * self.rng.uniform(0.4, 1, len(frequency))
        metal = decaying_partials(frequency, loud, t60, phase, samples, self.rate_hz)
        noise = self.noise(samples / self.rate_hz + 0.01)[:samples] * decay(
            t60_seconds * 0.8, samples, self.rate_hz
        )
        return fade(
            band(metal + hiss * noise, self.metal_low_hz, None, self.rate_hz), 0.0005, 0.02, self.rate_hz
        )

    def ride(self, bell: bool) -> Audio:
        """Returns a ride cymbal: a short tone over a long, quiet cymbal; for the bell the tone is louder."""
        wash = self.cymbal(self.crash_t60, 0.5) * (0.12 if bell else 0.22)
        frequency = self.metal_hz * np.array(
            (2.0, 3.1, 4.7, 6.3, 8.9) if bell else (4.7, 6.3, 7.7, 9.1, 10.3)
        )
        ping = decaying_partials(
            frequency,
            np.full(5, 0.12),
            np.full(5, 0.5 if bell else 0.25),
            np.zeros(5),
            len(wash),
            self.rate_hz,
        )
        return wash + fade(ping, 0.0005, 0.02, self.rate_hz)

    def clap(self) -> Audio:
        """Returns a clap: three short bursts of noise and a longer one."""
        samples = int(0.3 * self.rate_hz)
        audio = np.zeros(samples)
        for index, start in enumerate((0.0, 0.011, 0.021, 0.03)):
            begin = int(start * self.rate_hz)
            tail = decay(0.2 if index == 3 else 0.02, samples - begin, self.rate_hz)
            audio[begin:] += self.rng.standard_normal(samples - begin) * tail
        return fade(band(audio, 800, 3200, self.rate_hz), 0.0003, 0.02, self.rate_hz) * 1.5

    def stick(self, frequency_hz: float) -> Audio:
        """Returns a stick on wood or on the rim: short, high modes."""
        samples = int(0.12 * self.rate_hz)
        frequency = frequency_hz * np.array((1.0, 2.7, 4.1))
        t60 = np.array((0.09, 0.06, 0.04))
        return decaying_partials(
            frequency, np.array((0.4, 0.5, 0.3)), t60, np.zeros(3), samples, self.rate_hz
        )

    def cowbell(self, frequency_hz: float) -> Audio:
        """Returns a cowbell: two series of odd partials that do not fit each other."""
        samples = int(0.4 * self.rate_hz)
        frequency = frequency_hz * np.outer((1.0, 1.48), (1, 3, 5)).reshape(-1)
        loud = np.tile((0.3, 0.1, 0.05), 2) * (frequency < 0.47 * self.rate_hz)
        return decaying_partials(frequency, loud, np.full(6, 0.35), np.zeros(6), samples, self.rate_hz)

    def shaker(self) -> Audio:
        """Returns a shaker: high noise that swells for a moment."""
        samples = int(0.15 * self.rate_hz)
        noise = band(self.noise(0.16)[:samples], 3000, None, self.rate_hz) * decay(
            0.12, samples, self.rate_hz
        )
        return fade(noise, 0.012, 0.02, self.rate_hz) * 0.4
