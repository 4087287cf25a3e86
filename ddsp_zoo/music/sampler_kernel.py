"""Reads recordings at any speed and adds them up, sample by sample."""

from ddsp_zoo.dsp.compiled import kernel

INAUDIBLE = 1e-3  # of a note's own level: where its release ends


@kernel
def add_notes(audio, samples, first, length, loop, start, speed, gain, hold, damp, release):
    """Adds N notes to audio (T,), each a stretch of ``samples`` (K,) read from ``first`` on by cubic interpolation.

    A recording of ``length`` samples with ``loop`` >= 0 goes from its end back to that sample. From ``start`` on (in
    samples of audio) the level falls by the factor ``damp`` a sample, after ``hold`` samples by ``release``.
    """
    total = len(audio)
    for note in range(len(first)):
        base, end, back = first[note], length[note] - 3, loop[note]
        place, level, quiet = 0.0, gain[note], gain[note] * INAUDIBLE
        released = start[note] + hold[note]
        for n in range(start[note], total):
            if place >= end:
                if back < 0:
                    break
                place -= end - back
            index = int(place)
            f = place - index
            i = base + index + 1
            a, b, c, d = (
                float(samples[i - 1]),
                float(samples[i]),
                float(samples[i + 1]),
                float(samples[i + 2]),
            )
            # Catmull and Rom's cubic: through b and c, with the slopes that their neighbours suggest.
            audio[n] += level * (
                b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
            )
            level *= damp[note] if n < released else release[note]
            if level < quiet:
                break
            place += speed[note]
