"""A stream in pieces sounds as in one call, whatever the synthesiser and the cuts; a source sounds the same alone."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.base import Sound, Synth
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.harmonic import HarmonicPlusNoise
from ddsp_zoo.synths.karplus_strong import KarplusStrong
from ddsp_zoo.synths.modal_string import EXTRAS, ModalString
from ddsp_zoo.synths.one_parameter_string import OneParameterString
from ddsp_zoo.synths.sinusoids import QUIRKS, SinusoidsPlusNoise
from ddsp_zoo.synths.source_filter import SourceFilter

RATE, HOP, FRAMES, SOURCES = 16000, 128, 40, 3
STRINGS = {  # what the recipes of experiments A to D predict, and how their strings are made
    "A": {"predicts": ("excitation_gain", "cutoff_hz", "dynamics"), "loop_filter": "one_pole"},
    "A2": {"predicts": ("cutoff_hz", "balance"), "loop_filter": "one_pole", "oversampling": 1},
    "B": {},
    "B2.1": {"predicts": ("excitation_gain", "damping"), "clip": True},
    "B3": {"predicts": ("feedback", "excitation_gain"), "oversampling": 3},
    "C1": {"hold_pitch": True},
    "C2": {"excitation": "noise"},
    "C2 held": {"excitation": "noise", "hold_pitch": True},
    "D1": {"predicts": ("excitation_gain", "damping", "dynamics", "t60_seconds")},
}
SYNTHS: dict[str, Callable[[], Synth]] = {
    "bands": lambda: BandedSinusoids(RATE, HOP, bands=12, noise_points=33),
    "bands, long filters": lambda: BandedSinusoids(RATE, HOP, bands=12, noise_points=300),
    "sinusoids": lambda: SinusoidsPlusNoise(RATE, HOP, sinusoids=9, noise_bands=17, bins=8),
    "harmonics": lambda: HarmonicPlusNoise(RATE, HOP, harmonics=20, noise_bands=17),
    "harmonics in a room": lambda: HarmonicPlusNoise(
        RATE, HOP, harmonics=20, noise_bands=200, room_seconds=0.1
    ),
    "voice": lambda: SourceFilter(RATE, HOP, harmonics=20),
    "voice, long filters": lambda: SourceFilter(RATE, HOP, harmonics=20, noise_bands=200),
    "voice by frames": lambda: SourceFilter(RATE, HOP, harmonics=20, filtering="framewise"),
    "one parameter": lambda: OneParameterString(RATE, HOP),
    "one parameter, reproducible": lambda: OneParameterString(
        RATE, HOP, "reproducible", 3, ("tuning", "range")
    ),
    "modes": lambda: ModalString(RATE, HOP, partials=20),
    "plain modes": lambda: ModalString(RATE, HOP, (), partials=20),
}
SYNTHS |= {
    f"sinusoids, {quirk}": lambda quirk=quirk: SinusoidsPlusNoise(
        RATE, HOP, sinusoids=9, noise_bands=17, bins=8, quirks=(quirk,)
    )
    for quirk in QUIRKS
}
SYNTHS["sinusoids, all quirks"] = lambda: SinusoidsPlusNoise(RATE, HOP, 9, 17, 8, tuple(QUIRKS))
SYNTHS |= {
    f"modes, {extra}": lambda extra=extra: ModalString(RATE, HOP, (extra,), partials=20) for extra in EXTRAS
}
SYNTHS |= {
    f"loop {name}": lambda options=options: KarplusStrong(RATE, HOP, **options)
    for name, options in STRINGS.items()
}
SYNTHS["loop C, limited"] = lambda: KarplusStrong(RATE, HOP, clip="feedback", high_pass_hz=20.0)
SYNTHS |= {  # as published: seven frames are heard at once
    f"loop {name}, in chunks": lambda options=options: KarplusStrong(
        RATE, HOP, **options, high_pass_hz=20.0, chunk_seconds=7 * HOP / RATE
    )
    for name, options in {
        "A2": STRINGS["A2"],
        "B": {"quirks": ("early_onsets", "filters_sum", "rings_on", "held_controls", "one_burst")},
        "C1": {"clip": "before_gain", "hold_pitch": True, "quirks": ("early_onsets", "rings_on")},
        "C2": {"clip": "feedback", "excitation": "noise", "quirks": ("sinc_gains", "raw_noise")},
    }.items()
}
LOOP_QUIRKS = ("tuning", "early_onsets", "held_controls", "rings_on", "one_burst", "raw_noise")
SYNTHS |= {
    f"loop {name}, {', '.join(quirks)}": lambda name=name, quirks=quirks: KarplusStrong(
        RATE, HOP, **STRINGS[name], quirks=quirks
    )
    for name, quirks in [
        *((name, LOOP_QUIRKS) for name in STRINGS),
        *((name, (quirk,)) for name in ("A", "C1", "C2 held") for quirk in LOOP_QUIRKS),
    ]
}
# What has one quirk alone is slow: all of them together are among the quick ones.
ONE_QUIRK = {
    *(f"sinusoids, {quirk}" for quirk in QUIRKS),
    *(f"loop {name}, {quirk}" for name in STRINGS for quirk in LOOP_QUIRKS),
}
EACH = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ONE_QUIRK else name for name in SYNTHS]
)


def score(seed: int) -> Controls:
    """Pitches that move, rests at the start and between, notes one after the other, onsets in rests too."""
    draw = torch.Generator().manual_seed(seed)
    note = torch.rand(1, SOURCES, FRAMES, generator=draw) < 0.2
    note[:, 0, : seed % 12] = False
    height = 80 * 2 ** (3 * torch.rand(1, SOURCES, FRAMES, generator=draw))
    index = torch.where(note, torch.arange(FRAMES), 0).cummax(-1).values
    rest = (torch.rand(1, SOURCES, FRAMES, generator=draw) < 0.3).gather(-1, index)
    if seed % 2:
        rest = rest | (note.cumsum(-1) == 0)
    glide = 1 + 0.05 * torch.sin(torch.arange(FRAMES) / 3)
    return {"f0_hz": (height.gather(-1, index) * glide * ~rest)[..., None], "onset": note.float()[..., None]}


def controls_of(synth: Synth, seed: int) -> Controls:
    """Controls that move far within a few frames, those of a whole clip too; filters of the voice with some measure."""
    draw = torch.Generator().manual_seed(seed)
    raw = torch.randn(1, SOURCES, FRAMES, synth.controls.channels, generator=draw)
    raw = (0.5 if isinstance(synth, SourceFilter) else 2) * torch.lerp(raw, raw.roll(1, 2), 0.5)
    return Synth.constrain(synth, raw) | score(seed)


def complete(synth: Synth, seed: int) -> Controls:
    controls = controls_of(synth, seed)
    if isinstance(synth, OneParameterString):
        controls["pluck_gain"] = 0.5 + controls["onset"]
    if isinstance(synth, KarplusStrong):
        like = torch.zeros_like(controls["f0_hz"])
        controls = {name: like + value for name, value in synth.fixed.items()} | controls
        if synth.clip:
            controls["ceiling"] = 0.3 + 0.2 * torch.sin(torch.arange(FRAMES) / 5)[:, None] + like
    return controls


def in_pieces(
    synth: Synth, controls: Controls, sizes: list[int], generator: object, probed: bool = False
) -> Sound:
    """Renders pieces of these sizes, the rest as the last one."""
    render = synth.probe if probed else synth.render
    audio, tonal, state, start = [], [], None, 0
    for size in [*sizes, FRAMES]:
        piece = {name: value[:, :, start : start + size] for name, value in controls.items()}
        start += size
        sound = render(piece, generator, state, last=size == FRAMES)
        state = sound.state
        audio.append(sound.audio)
        tonal.append(sound.tonal)
        rendered = sum(x.shape[-1] for x in audio)
        assert rendered % HOP == 0 and rendered <= min(start, FRAMES) * HOP
        assert state is None or size != FRAMES
    return Sound(torch.cat(audio, -1), torch.cat(tonal, -1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seeded_each() -> list[torch.Generator]:
    return [seeded(source) for source in range(SOURCES)]


def assert_same(sound: Sound, whole: Sound, limit: float = 1e-5) -> None:
    full_scale = max(whole.audio.abs().max().item(), 1)
    for piece, expected in ((sound.audio, whole.audio), (sound.tonal, whole.tonal)):
        assert piece.shape == expected.shape
        assert (piece - expected).abs().max() <= limit * full_scale


@EACH
@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), sizes=st.lists(st.integers(0, 9), max_size=8))
def test_any_cutting_into_pieces_gives_the_same_sound(name: str, seed: int, sizes: list[int]) -> None:
    synth = SYNTHS[name]()
    controls = complete(synth, seed)
    whole = synth.render(controls, seeded_each())
    assert whole.audio.shape == (1, SOURCES, FRAMES * HOP) and whole.state is None
    assert_same(in_pieces(synth, controls, sizes, seeded_each()), whole)


@EACH
def test_frame_by_frame_it_is_still_the_same_sound(name: str) -> None:
    synth = SYNTHS[name]()
    controls = complete(synth, 5)
    whole = synth.render(controls, seeded_each())
    assert whole.audio.abs().max() > 1e-3
    assert_same(in_pieces(synth, controls, [1] * FRAMES, seeded_each()), whole)  # the last piece is empty


@pytest.mark.parametrize("name", [name for name in SYNTHS if name.startswith("loop")])
@pytest.mark.parametrize("sizes", [[7, 1, 20], [1] * FRAMES])
def test_a_probe_in_pieces_is_that_of_the_whole(name: str, sizes: list[int]) -> None:
    synth = SYNTHS[name]()
    controls = complete(synth, 5)
    generators = [[seeded(row) for row in range(2 * SOURCES)] for _ in range(2)]
    whole = synth.probe(controls, generators[0])
    assert whole.tonal.shape == (1, SOURCES, 2, FRAMES * HOP)
    assert_same(in_pieces(synth, controls, sizes, generators[1], probed=True), whole)


@EACH
def test_a_source_alone_sounds_as_among_the_others(name: str) -> None:
    synth = SYNTHS[name]()
    controls = complete(synth, 7)
    together = in_pieces(synth, controls, [7, 1, 20], seeded_each())
    for source in range(SOURCES):
        own = {k: value[:, [source]] for k, value in controls.items()}
        alone = synth.render(own, seeded(source))
        kept = Sound(together.audio[:, [source]], together.tonal[:, [source]])
        assert_same(kept, alone)


@EACH
def test_expected_spectra_of_a_piece_with_context_are_those_of_the_whole(name: str) -> None:
    synth, n_fft, start, stop = SYNTHS[name](), 4 * HOP, 11, 31
    controls, context = complete(synth, 3), n_fft // (2 * HOP) + 1
    if isinstance(synth, ModalString):
        controls, _ = synth.timed(controls)
    tonal = synth.render(controls, seeded()).tonal
    whole = synth.power_spectra(controls, tonal, n_fft)[..., start + context : stop - context + 1]
    piece = {name: value[:, :, start:stop] for name, value in controls.items()}
    spectra = synth.power_spectra(piece, tonal[..., start * HOP : stop * HOP], n_fft)
    spectra = spectra[..., context : stop - start - context + 1]
    torch.testing.assert_close(spectra, whole, rtol=1e-4, atol=1e-6 * whole.max().item())


def test_notes_of_a_modal_string_are_timed_the_same_in_pieces() -> None:
    synth = ModalString(RATE, HOP, partials=20)
    controls = complete(synth, 4)
    whole, _ = synth.timed(controls)
    before, pieces = None, []
    for start in range(0, FRAMES, 7):
        piece = {name: value[:, :, start : start + 7] for name, value in controls.items()}
        piece, before = synth.timed(piece, before)
        pieces.append(piece)
    for name, value in whole.items():
        assert torch.equal(torch.cat([piece[name] for piece in pieces], 2), value)
    late = {name: value[:, :, 20:] for name, value in whole.items()}
    for method in (synth.amplitudes, synth.pitch, synth.attack, synth.partial_variance):
        torch.testing.assert_close(method(late), method(controls)[:, :, 20:])


def held(state: object) -> int:
    """Values in the memory that the tensors of a state keep."""
    if isinstance(state, torch.Tensor):
        return state.untyped_storage().nbytes() // state.element_size()
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, tuple) else ()
    return sum(held(part) for part in parts)


@EACH
def test_what_is_carried_on_does_not_grow(name: str) -> None:
    synth = SYNTHS[name]()
    piece = {key: value[:, :, :8] for key, value in complete(synth, 2).items()}
    state, sizes = None, []
    for _ in range(30):
        state = synth.render(piece, seeded(), state, last=False).state
        sizes.append(held(state))
    turns = [sizes[start : start + 7] for start in (9, 16, 23)]  # whole chunks of seven frames are played
    assert 0 < min(sizes) and turns[0] == turns[1] == turns[2]


def test_nothing_gives_nothing_and_a_stream_may_begin_with_it() -> None:
    synth = SYNTHS["voice"]()
    controls = complete(synth, 1)
    nothing = {name: value[:, :, :0] for name, value in controls.items()}
    for last in (False, True):
        sound = synth.render(nothing, seeded(), None, last)
        assert sound.audio.shape == sound.tonal.shape == (1, SOURCES, 0) and sound.state is None


@pytest.mark.parametrize("batch", [1, 2])
def test_generators_for_other_than_all_sources_are_refused(batch: int) -> None:
    synth = SYNTHS["bands"]()
    controls = {name: value.expand(batch, -1, -1, -1) for name, value in complete(synth, 1).items()}
    with pytest.raises(DdspZooError, match=f"{batch * SOURCES} rows needs as many generators"):
        synth.render(controls, [seeded()] * (SOURCES + 2 - batch))


@pytest.mark.parametrize(
    "name", ["voice", "voice by frames", "sinusoids, clip_noise", "sinusoids, all quirks"]
)
def test_noise_of_one_colour_a_clip_follows_where_clips_are_joined(name: str) -> None:
    """One colour serves a whole clip, but a stream goes on from clip to clip."""
    synth = SYNTHS[name]()
    controls = complete(synth, 1)
    silent = torch.arange(FRAMES)[:, None] >= FRAMES // 2
    controls["noise_magnitude"] = torch.where(silent, 0.0, torch.ones_like(controls["noise_magnitude"]))
    if "noise_gain" in controls:
        controls["noise_gain"] = torch.ones_like(controls["noise_gain"])
    audio, tonal, _ = synth.render(controls, seeded())
    first, second = (audio - tonal).chunk(2, -1)
    assert first.square().mean() > 0.01
    assert second[..., 3 * HOP :].abs().max() < 1e-2 * first.abs().max()
