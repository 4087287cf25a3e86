"""The base of every synthesiser: declared controls, `constrain`, `render`."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from ddsp_zoo.dsp.noise import Generators
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.synths.control import Controls, ControlSet
from ddsp_zoo.synths.streaming import Frames, Window


class RenderState(NamedTuple):
    """Holds what a stream goes on from: waiting frames, the notes at the newest one, the sound at the last sample."""

    waiting: Window
    notes: Any
    sound: Any


class Sound(NamedTuple):
    """Holds audio (B, S, T), the part of it without filtered noise (B, S, T), and what the next piece needs.

    A probe holds several renderings of that part, (B, S, K, T); see `Synth.probe`.
    """

    audio: Tensor
    tonal: Tensor
    state: RenderState | None = None


def detached(state: Any) -> Any:
    """Returns the same state without its past, so that no gradient goes back into it."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: detached(value) for name, value in state.items()}
    if isinstance(state, tuple):
        return type(state)(*(detached(value) for value in state))
    return state


class Synth(ABC):
    """Defines a differentiable synthesiser, which has no weights.

    Frames come every ``hop`` samples at ``sample_rate``; N frames render N * hop samples. A subclass writes how
    frames sound (`play`), once the ``after`` frames that follow them are known and ``before`` frames that came before
    are still there; what depends on the frames so far, and not on later ones, can be computed in `prepare`.
    """

    controls: ControlSet
    arguments: dict[str, Any]  # what it was built with, defaults included
    before, after = 0, 1
    group = 1  # frames that are played together: what is no whole group waits for more

    def __new__(cls, *args: Any, **kwargs: Any) -> "Synth":
        """Remembers the arguments, so that the same synthesiser can be built again from plain data."""
        synth = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(synth, *args, **kwargs)
        bound.apply_defaults()
        _, *named = bound.arguments.items()
        synth.arguments = dict(named)
        return synth

    def __init__(self, sample_rate: int, hop: int) -> None:
        self.sample_rate, self.hop = sample_rate, hop

    @property
    def highest_f0_hz(self) -> float:
        """Returns the highest pitch that it plays; what is given above that is not heard as such."""
        return self.sample_rate / 2

    @property
    def level_controls(self) -> tuple[str, ...]:
        """Returns the names of the controls that the sound is proportional to."""
        return tuple(control.name for control in self.controls if control.role == "level")

    def constrain(self, raw: Tensor) -> Controls:
        """Maps raw network outputs (B, S, N, channels) to controls in range, {name: (B, S, N, k)}."""
        return self.controls.constrain(raw)

    def scale(self, controls: Controls, level: Tensor) -> Controls:
        """Scales controls so that they sound ``level`` (B,) times as loud: sound is linear in the level controls."""
        level = level[:, None, None, None]
        return {k: v * level if k in self.level_controls else v for k, v in controls.items()}

    def render(
        self,
        controls: Controls,
        generator: Generators | None = None,
        state: RenderState | None = None,
        last: bool = True,
    ) -> Sound:
        """Renders controls {name: (B, S, N, k)}: -> audio (B, S, N * hop).

        A long stream comes in consecutive pieces of any length, all but the final one with ``last=False``, each with
        the ``state`` that the piece before gave back. Frames that need later ones wait in it, so a piece gives whole
        frames, but not always its own; all pieces together give the same audio as one call. The final piece may be
        empty (N = 0) and gives back no state.

        ``generator`` is where the noise is drawn from: for a stream (B = 1) a sequence of one for each source, which
        then sounds the same in pieces and at once, with and without the others; else one for all.
        """
        shape = next(iter(controls.values())).shape[:3]
        waiting, notes, sound = state or (None, None, None)
        if shape[2]:
            rows = {name: value.flatten(0, 1) for name, value in controls.items()}
            frames, notes = self.prepare(rows, generator, notes)
        elif waiting:
            frames = {name: x[:, :0] for name, x in waiting.frames.items()}
        else:
            silence = next(iter(controls.values())).new_zeros(*shape[:2], 0)
            return Sound(silence, silence)
        window = Window.over(waiting, frames, self.after, last, self.group)
        if window.count:
            audio, tonal, sound = self.play(window, sound)
        else:
            audio = tonal = next(iter(controls.values())).new_zeros(shape[0] * shape[1], 0)
        state = None if last else RenderState(window.waiting(self.before), notes, sound)
        return Sound(audio.unflatten(0, shape[:2]), tonal.unflatten(0, shape[:2]), state)

    def probe(
        self, controls: Controls, generator: Generators | None = None, state: Any = None, last: bool = True
    ) -> Sound | None:
        """Renders what the expected spectra are taken from, where the tonal part is itself made of noise; else None.

        It takes what `render` takes. The sound has K renderings of each source, (B, S, K, T), whose power adds up to
        the expected one, but for a factor that all sources share.
        """
        return None

    def timed(self, controls: Controls, before: Any = None) -> tuple[Controls, Any]:
        """Adds what a frame of (..., N, k) cannot tell alone, so that a piece of a stream means the same as the whole.

        ``before`` is the second thing that this gave back for the frames before, None at the start.
        """
        return controls, None

    def prepare(self, controls: Controls, generator: Generators | None, notes: Any) -> tuple[Frames, Any]:
        """Computes what `play` needs of new frames, noise included: controls (R, N, k) -> frames, new ``notes``.

        ``notes`` is what the synthesiser knows of the frames before (None at the start). By default the frames are
        the controls, and nothing needs to be known.
        """
        return controls, None

    @abstractmethod
    def play(self, window: Window, sound: Any) -> tuple[Tensor, Tensor, Any]:
        """Renders the frames of a window: -> audio and tonal (R, count * hop), and the sound's state after them.

        ``sound`` is what this gave back before, None at the start. Where the window has no `lookahead`, the stream
        ends and all that was held back must be given out.
        """

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Returns the expected |STFT|^2 of the sources, hop as the controls': -> (B, S, F, N + 1).

        Expected: where a synthesiser plays filtered noise, its filter counts and not one draw of the noise,
        whose spectrum has random holes that would all go into a mask. ``tonal`` (B, S, T) is what `render` gave, or
        (B, S, K, T) from `probe`. On a piece of a stream all but the first and
        the last n_fft / (2 * hop) + 1 frames are exact, unless the subclass says otherwise.
        """
        spectrum = stft(tonal, n_fft, self.hop)
        power = spectrum.real.square() + spectrum.imag.square()
        return power.sum(2) if tonal.ndim == 4 else power
