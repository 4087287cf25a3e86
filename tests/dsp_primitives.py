"""Every public function of ``ddsp_zoo.dsp``, how it is called and what it promises, for `fuzzing`."""

from typing import Any

import dsp_arguments as given
from dsp_arguments import RATES
from fuzzing import Primitive
from torch import Tensor

from ddsp_zoo.dsp import (
    allpole,
    channels,
    feedback,
    frames,
    harmonic_basis,
    harmonic_ls,
    lsf,
    mel,
    noise,
    one_pole,
    oscillator,
    scale,
    scan,
    stft,
    string,
    string_block,
)


def stays_small(options: dict[str, Any]) -> float | None:
    """Poles on the unit circle tell float32 from float64 and rotations from their shears."""
    return 1e-3 if options["reflection"].abs().max() < 0.99 else None


def bounded_string(options: dict[str, Any]) -> float | None:
    """A DC blocker voids the bound, and delays that move by many samples at once have no float32 to speak of."""
    return None if options["dc_pole"] or options["delay"].max() > 400 else 5e-3


def well_posed(options: dict[str, Any]) -> float | None:
    """A small ridge leaves sources in unison undecided, and the refinement divides by what is hardly there."""
    return (
        0.02 if options["ridge"] > 0.1 and options["noise"] is None and not options["refinements"] else None
    )


def fit(**options: Any) -> tuple[Tensor, ...]:
    """All methods of a fit."""
    prior, noise_ = options.pop("prior"), options.pop("noise")
    fitted = harmonic_ls.HarmonicFit(**options)
    amplitudes = fitted.estimate() if prior is None else fitted.amplitudes(prior, noise_)
    return fitted.audio(amplitudes), fitted.smoothed(amplitudes.abs()), fitted.refined_f0(prior, noise_)


def heard(audio: Tensor) -> Tensor:
    """Nothing is learned through the choice of signs."""
    return channels.one_channel(audio.detach())


PRIMITIVES = {
    "allpole": Primitive(allpole.allpole, given.allpole_, ("reflection",), stays_small, share=1),
    "framewise_allpole": Primitive(
        allpole.framewise_allpole, given.framewise, ("reflection",), stays_small, share=1
    ),
    "lsf_from_logits": Primitive(
        lsf.lsf_from_logits, lambda draw: {"logits": draw.tensor(2, draw.whole(2, 9), low=-30, high=30)}
    ),
    "lsf_to_coefficients": Primitive(lsf.lsf_to_coefficients, given.lsf_, ("lsf",)),
    "lsf_to_reflection": Primitive(lsf.lsf_to_reflection, given.lsf_, ("lsf",)),
    "reflection_to_coefficients": Primitive(lsf.reflection_to_coefficients, given.one("reflection", -1, 1)),
    "coefficients_to_reflection": Primitive(
        lsf.coefficients_to_reflection, given.coefficients, ("coefficients",), None
    ),
    "one_pole": Primitive(one_pole.one_pole, given.one_pole_, ("pole",)),
    "dc_block": Primitive(one_pole.dc_block, given.dc_block),
    "high_pass_pole": Primitive(
        one_pole.high_pass_pole,
        lambda draw: {"cutoff_hz": draw.number(1e-3, 3000.0), "sample_rate": draw.one_of(*RATES)},
    ),
    "high_pass_lead": Primitive(
        one_pole.high_pass_lead,
        lambda draw: {"pole": draw.number(1e-3, 0.999), "omega": draw.tensor(2, 3, low=1e-3, high=3.1)},
    ),
    "scan": Primitive(scan.scan, given.recursion, outer=False),
    "sinusoidal_bank": Primitive(
        oscillator.sinusoidal_bank,
        given.sinusoids,
        ("frequency_hz", "amplitude", "phase"),
        summands="amplitude",
    ),
    "harmonic_bank": Primitive(
        oscillator.harmonic_bank,
        given.harmonics,
        ("f0_hz", "amplitude", "inharmonicity", "phase"),
        summands="amplitude",
    ),
    "uniform_noise": Primitive(noise.uniform_noise, given.white, tolerance=None),
    "zero_phase_fir": Primitive(
        noise.zero_phase_fir, lambda draw: {"magnitudes": given.magnitudes(draw, 2, 2)}
    ),
    "filtered_noise": Primitive(noise.filtered_noise, given.shaped_noise, ("magnitudes",), None),
    "noise_frames": Primitive(noise.noise_frames, given.white_frames, tolerance=None),
    "filter_frames": Primitive(noise.filter_frames, given.filtered_frames),
    "check_magnitudes": Primitive(
        noise.check_magnitudes,
        lambda draw: {"magnitudes": given.magnitudes(draw, 2, 2), "hop": 1},
        ("magnitudes",),
    ),
    "noise_power": Primitive(noise.noise_power, given.noise_seen),
    "seen_by_stft": Primitive(noise.seen_by_stft, given.power_seen),
    "phase_delay": Primitive(string.phase_delay, given.loop_gain),
    "magnitude": Primitive(string.magnitude, given.loop_gain),
    "tuned_delay": Primitive(string.tuned_delay, given.tuning),
    "string_loop": Primitive(
        string.string_loop, given.string_, ("delay", "gain", "smoothing"), bounded_string
    ),
    "feedback_loop": Primitive(
        feedback.feedback_loop, given.feedback_, ("delay", "gain", "smoothing"), bounded_string
    ),
    "FeedbackState.silent": Primitive(
        feedback.FeedbackState.silent,
        lambda draw: {"rows": draw.whole(0, 3), "longest_delay": draw.whole(1, 50), "like": draw.tensor(1)},
    ),
    "StringState.silent": Primitive(
        string.StringState.silent,
        lambda draw: {"rows": draw.whole(0, 3), "longest_delay": draw.whole(1, 50), "like": draw.tensor(1)},
    ),
    "block_loop": Primitive(string_block.block_loop, given.block, outer=False),
    "harmonic_least_squares": Primitive(
        harmonic_ls.harmonic_least_squares,
        given.least_squares,
        ("mixture", "f0_hz", "prior", "noise", "inharmonicity"),
        well_posed,
        share=1,
    ),
    "HarmonicFit": Primitive(
        fit, given.fit_, ("mixture", "f0_hz", "prior", "noise", "inharmonicity"), None, share=1
    ),
    "fit_windows": Primitive(
        harmonic_ls.fit_windows, lambda draw: {"sample_rate": draw.one_of(*RATES)}, share=1
    ),
    "correlate": Primitive(harmonic_basis.correlate, given.correlation, outer=False),
    "synthesise": Primitive(harmonic_basis.synthesise, given.synthesis, outer=False),
    "banded_solve": Primitive(harmonic_basis.banded_solve, given.system, outer=False),
    "ramps": Primitive(frames.ramps, given.ramped),
    "follow": Primitive(frames.follow, given.followed),
    "upsample_linear": Primitive(frames.upsample_linear, given.jumping),
    "upsample_window": Primitive(frames.upsample_window, given.looking_ahead),
    "upsample_centred": Primitive(frames.upsample_centred, given.controls),
    "overlap_add": Primitive(frames.overlap_add, given.overlapping),
    "latest": Primitive(frames.latest, given.marks),
    "frames_since": Primitive(frames.frames_since, given.counted),
    "hold": Primitive(frames.hold, given.held),
    "seconds_since": Primitive(frames.seconds_since, given.timed),
    "one_channel": Primitive(heard, given.channels_, tolerance=None, share=1),
    "stft": Primitive(stft.stft, given.spectrogram),
    "istft": Primitive(stft.istft, given.inverse),
    "hz_to_mel": Primitive(mel.hz_to_mel, given.one("frequency_hz", 0, 20000)),
    "mel_to_hz": Primitive(mel.mel_to_hz, given.one("mel", 0, 4000)),
    "mel_grid": Primitive(mel.mel_grid, given.bands),
    "mel_filter_bank": Primitive(mel.mel_filter_bank, given.filter_bank),
    "mel_triangles": Primitive(mel.mel_triangles, given.filter_bank),
    "exp_sigmoid": Primitive(scale.exp_sigmoid, given.one("x", -1e30, 1e30)),
    "exp_sigmoid_inverse": Primitive(scale.exp_sigmoid_inverse, given.one("amplitude", 0, 3)),
    "hz_to_midi": Primitive(scale.hz_to_midi, given.one("frequency_hz", -10, 20000)),
    "midi_to_hz": Primitive(scale.midi_to_hz, given.one("midi", 0, 140)),
    "hz_to_unit": Primitive(scale.hz_to_unit, given.pitches),
    "unit_to_hz": Primitive(
        scale.unit_to_hz, lambda draw: {**given.one("unit", 0, 1)(draw), "low_hz": 20.0, "high_hz": 8000.0}
    ),
}
