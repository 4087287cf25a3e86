"""Applies effects to stems: amplifier, chorus, equaliser, compressor, rooms. Arrays (T,), one stem at a time."""

import numpy as np
from scipy import signal

from ddsp_zoo.music.signals import Audio, band, drive, log_uniform, peak_filter, playing_level, reverb, tilt

FRAME_SECONDS = 0.002
TONE_HZ = (80, 160, 320, 640, 1280, 2560, 5120, 10240)  # where a smooth equaliser is set
COMB_SECONDS = (1e-4, 3e-3)  # from a place by the bridge of a high string to the middle of a low one
COMB_DEPTH = 0.9


def amplifier(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Applies a guitar amplifier and its loudspeaker, computed at four times the rate, or at twice a rate above 24 kHz.

    Low frequencies are reduced first, or chords would become unclear; two stages clip the sound, the first of them more
    on one side.
    """
    level = max(playing_level(audio, rate_hz), 1e-6)
    thin = band(audio, log_uniform(rng, 60, 280), None, rate_hz, order=1) / level
    thin = peak_filter(thin, log_uniform(rng, 500, 1500), rng.uniform(0, 8), 0.7, rate_hz)
    gain, bias = log_uniform(rng, 1.5, 40), rng.uniform(0, 0.5)
    finer = 4 if rate_hz <= 24000 else 2
    hot = np.tanh(gain * signal.resample_poly(thin, finer, 1) + bias) - np.tanh(bias)
    if rng.random() < 0.5:
        hot = np.tanh(log_uniform(rng, 1, 3) * hot)
    return loudspeaker(signal.resample_poly(hot, 1, finer), rng, rate_hz)


def loudspeaker(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Applies a guitar cabinet: little below its resonance and above some kilohertz, and more in between."""
    audio = peak_filter(audio, log_uniform(rng, 90, 160), rng.uniform(0, 6), 1.5, rate_hz)
    audio = peak_filter(audio, log_uniform(rng, 350, 900), rng.uniform(-7, 1), 1.0, rate_hz)
    audio = peak_filter(audio, log_uniform(rng, 1600, 3200), rng.uniform(0, 8), 1.0, rate_hz)
    return band(audio, log_uniform(rng, 60, 110), log_uniform(rng, 2800, 6500), rate_hz, order=3)


def chorus(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Adds one or two copies whose delay varies slowly."""
    places = np.arange(len(audio), dtype=float)
    wet = np.zeros_like(audio)
    for _ in range(int(rng.integers(1, 3))):
        swing = 2 * np.pi * (log_uniform(rng, 0.2, 2.0) * places / rate_hz + rng.random())
        delay = rng.uniform(0.008, 0.025) + rng.uniform(0.0005, 0.003) * np.sin(swing)
        wet += np.interp(places - delay * rate_hz, places, audio, left=0.0)
    return audio + rng.uniform(0.3, 0.9) * wet


def compress(audio: Audio, threshold_db: float, ratio: float, seconds: float, rate_hz: int) -> Audio:
    """Turns down what is above a threshold (dB above the playing level); follows the level within ``seconds``."""
    frame = max(int(FRAME_SECONDS * rate_hz), 1)
    power = np.mean(np.square(np.pad(audio, (0, -len(audio) % frame)).reshape(-1, frame)), axis=1)
    pole = np.exp(-frame / (seconds * rate_hz))
    power = signal.lfilter([1 - pole], [1, -pole], power)
    over = 10 * np.log10(power + 1e-12) - 20 * np.log10(playing_level(audio, rate_hz) + 1e-6) - threshold_db
    # Half a decibel of softness keeps the bend from being heard.
    gain_db = -(1 - 1 / ratio) * np.logaddexp(0, over)
    centres = (np.arange(len(power)) + 0.5) * frame
    return audio * np.interp(np.arange(len(audio)), centres, 10 ** (gain_db / 20))


def shelves(
    audio: Audio, low_db: float, high_db: float, low_hz: float, high_hz: float, rate_hz: int
) -> Audio:
    """Raises or lowers everything below one frequency and everything above another."""
    low = band(audio, None, low_hz, rate_hz, order=1)
    high = audio - band(audio, None, min(high_hz, 0.45 * rate_hz), rate_hz, order=1)
    return audio + (10 ** (low_db / 20) - 1) * low + (10 ** (high_db / 20) - 1) * high


def equalise(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Sets the equaliser of a channel at random: shelves, and two or three bands anywhere, up to 8 dB each."""
    audio = shelves(
        audio, *rng.uniform(-6, 6, 2), log_uniform(rng, 60, 300), log_uniform(rng, 1500, 8000), rate_hz
    )
    for _ in range(int(rng.integers(2, 4))):
        centre_hz = log_uniform(rng, 60, 0.42 * rate_hz)
        audio = peak_filter(audio, centre_hz, rng.uniform(-8, 8), log_uniform(rng, 0.5, 3), rate_hz)
    return audio


def retoned(audio: Audio, rng: np.random.Generator, most_db: float, rate_hz: int) -> Audio:
    """Gives a stem the tone of another instrument, string or hand; it keeps its level, and nothing is delayed.

    An equaliser that is smooth over octaves lies within ``most_db``. The comb is what a string has that is plucked, or
    heard, at one place: its delay is the way to the bridge and back, whichever fret is pressed.
    """
    size = len(audio) + round(COMB_SECONDS[1] * rate_hz) + rate_hz // 8
    hertz = np.fft.rfftfreq(size, 1 / rate_hz)
    gain_db = rng.uniform(0, most_db) * rng.uniform(-1, 1, len(TONE_HZ))
    tone = 10 ** (np.interp(np.log(hertz.clip(min=1)), np.log(TONE_HZ), gain_db) / 20)
    comb = 1 - rng.uniform(0, COMB_DEPTH) * np.exp(-2j * np.pi * hertz * log_uniform(rng, *COMB_SECONDS))
    out = np.fft.irfft(np.fft.rfft(audio, size) * tone * comb, size)[: len(audio)]
    before, after = (float(np.sqrt(np.mean(np.square(part, dtype=float)))) for part in (audio, out))
    return (out * (before / max(after, 1e-12))).astype(audio.dtype)


def room_microphones(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Adds to drums what microphones further away hear of them, strongly compressed."""
    far = reverb(audio, log_uniform(rng, 0.2, 0.9), 1.0, rng, rate_hz) - audio
    far = compress(far, rng.uniform(-12, -2), rng.uniform(3, 10), log_uniform(rng, 0.01, 0.06), rate_hz)
    loud = (
        log_uniform(rng, 0.08, 0.6) * playing_level(audio, rate_hz) / max(playing_level(far, rate_hz), 1e-6)
    )
    return audio + loud * far


def desk(audio: Audio, stem: str, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Mixes a stem as at a mixing desk; each effect is used on some stems only."""
    if rng.random() < 0.7:
        audio = equalise(audio, rng, rate_hz)
    else:
        audio = tilt(audio, float(rng.uniform(-3, 3)), rate_hz)
    if rng.random() < (0.6 if stem in ("bass", "drums") else 0.4):
        audio = compress(
            audio, rng.uniform(-12, 3), rng.uniform(1.5, 6), log_uniform(rng, 0.008, 0.15), rate_hz
        )
    if rng.random() < 0.3:
        audio = drive(audio, log_uniform(rng, 0.3, 1.8))
    if stem == "drums" and rng.random() < 0.35:
        audio = room_microphones(audio, rng, rate_hz)
    if stem in ("guitar", "other") and rng.random() < 0.15:
        audio = chorus(audio, rng, rate_hz)
    if rng.random() < (0.12 if stem == "bass" else 0.5):
        seconds = log_uniform(rng, 0.1, 0.45) if rng.random() < 0.6 else log_uniform(rng, 0.5, 2.2)
        audio = reverb(audio, seconds, log_uniform(rng, 0.05, 0.35), rng, rate_hz)
    return audio
