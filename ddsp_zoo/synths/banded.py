"""A sinusoid and noise in every mel band: the synthesiser of AST-DDSP without its search for frequencies."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import mel_grid, mel_to_hz, mel_triangles
from ddsp_zoo.dsp.noise import Generators, noise_frames, seen_by_stft
from ddsp_zoo.dsp.oscillator import sinusoidal_bank
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet
from ddsp_zoo.synths.streaming import Frames, Window, filter_reach


class BandedSinusoids(Synth):
    """Plays K sinusoids, each in a mel band of its own, and noise in bands (AST-DDSP, section 3, made convex).

    Free sinusoids (`SinusoidsPlusNoise`) can swap places and must each cross the whole spectrum to their partial,
    which no spectral loss tells them to. Here each has a band: which partial it plays is settled, how loud is a
    level, and only where in the band remains, which is small, visible in the mixture and can be compared with the
    truth.

    ``loudness`` is read off the controls, the root mean square of all that sounds in a frame.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        bands: int = 128,
        bins: int = 5,
        lowest_hz: float = 20.0,
        noise_points: int = 257,
        frequency_gradient: float = 1.0,
    ) -> None:
        """``bins``: places in a band that a sinusoid's frequency is classified into; ``noise_points`` of the noise's
        filters; ``frequency_gradient``: by how much the audio's gradient by the frequencies is multiplied."""
        super().__init__(sample_rate, hop)
        self.bands, self.lowest_hz = bands, lowest_hz
        self.frequency_gradient = frequency_gradient
        nyquist = sample_rate / 2
        self._response_of_bands = self._to_points(noise_points)
        self.before = self.after = filter_reach(noise_points, hop)
        self.controls = ControlSet(
            (
                Control(
                    "frequency_hz",
                    "Hz",
                    "frequency of the sinusoid of each band",
                    lowest_hz,
                    nyquist,
                    size=bands,
                    curve="mel_bins",
                    bins=bins,
                    role="partials",
                ),
                Control(
                    "amplitude",
                    "1",
                    "amplitude of the sinusoid of each band",
                    size=bands,
                    curve="amplitude",
                    role="level",
                ),
                Control(
                    "noise_magnitude",
                    "1",
                    "noise response in each band",
                    high=2.0,
                    size=bands,
                    curve="amplitude",
                    role="level",
                ),
            ),
            beside=(
                Control(
                    "loudness",
                    "1",
                    "root mean square of all that sounds",
                    high=2.0 * bands,
                    role="level",
                    origin="heard",
                ),
            ),
        )

    def constrain(self, raw: Tensor) -> Controls:
        """Returns the controls of raw outputs (B, S, N, channels), and the loudness that they have together."""
        controls = super().constrain(raw)
        noise = self._response(controls["noise_magnitude"]).square().mean(-1) / 3
        power = controls["amplitude"].square().sum(-1) / 2 + noise
        return controls | {"loudness": power.sqrt()[..., None]}

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        frequency, amplitude = controls["frequency_hz"], controls["amplitude"]
        if frequency.requires_grad and self.frequency_gradient != 1:
            frequency = frequency * self.frequency_gradient + frequency.detach() * (
                1 - self.frequency_gradient
            )
        noise = noise_frames(amplitude, amplitude.shape[1], self.hop, generator)
        response = self._response(controls["noise_magnitude"])
        return {"frequency_hz": frequency, "amplitude": amplitude, "noise": noise, "response": response}, None

    def play(self, window: Window, sound: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        moving = (window.moving(name) for name in ("frequency_hz", "amplitude"))
        tonal, phase = sinusoidal_bank(*moving, self.sample_rate, self.hop, sound, window.lookahead)
        return tonal + window.filtered_noise(), tonal, phase

    def power_spectra(
        self, controls: Controls, tonal: Tensor, n_fft: int, every: int = 1, bins: int = 0
    ) -> Tensor:
        """Returns the expected power of sinusoids of unknown phase and of the noise: (B, S, F, N + 1).

        ``every`` takes one frame in so many. ``bins`` takes so many of the lowest bins; the highest two of them lack
        what sinusoids above them would add.
        """
        count = bins or n_fft // 2 + 1
        place = controls["frequency_hz"] * (n_fft / self.sample_rate)
        centres, _ = mel_grid(self.lowest_hz, self.sample_rate / 2, self.bands)
        low = int((mel_to_hz(centres) * (n_fft / self.sample_rate) < count - 1).sum())
        lobes = sine_lobes(place[..., :low], controls["amplitude"][..., :low], n_fft, count)
        # Between two frames a sinusoid is on its way from one to the other.
        between = (lobes + torch.cat([lobes[..., 1:, :], lobes[..., -1:, :]], dim=-2)) / 2
        response = controls["noise_magnitude"] @ self._to_points(n_fft // 2 + 1)[:, :count].to(lobes)
        return seen_by_stft(between + response.square() * (n_fft / 8), self.hop, n_fft, every)

    def _response(self, magnitudes: Tensor) -> Tensor:
        """Levels of bands (..., K) -> filters' response at points from 0 Hz to the Nyquist frequency (..., P)."""
        return magnitudes @ self._response_of_bands.to(magnitudes)

    def _to_points(self, points: int) -> Tensor:
        return mel_triangles(self.lowest_hz, self.sample_rate / 2, self.bands, points, self.sample_rate / 2)


def sine_lobes(place: Tensor, amplitude: Tensor, n_fft: int, bins: int = 0) -> Tensor:
    """Returns power spectra of lone sinusoids by a Hann window: place in bins, amplitude (..., N, K) -> (..., N, F).

    F is n_fft / 2 + 1, or the lowest ``bins``.

    A lobe is sin(pi d) / (pi d (1 - d^2)) at a distance of d bins, taken at the four bins within two of its middle.
    With u the fraction of the frequency's bin, all four are rational in u times one smooth function. What lies within
    a bin of 0 Hz or of the Nyquist frequency counts as a bin away from it.
    """
    bins = bins or n_fft // 2 + 1
    place = place.clamp(1, bins - 2)
    below = place.detach().floor().clamp(max=bins - 3)
    u = place - below
    v = 1 - u
    smooth = _hump(u * v)
    lobe = [
        smooth * v / ((1 + u) * (2 + u)),
        smooth / (1 + u),
        smooth / (1 + v),
        smooth * u / ((1 + v) * (2 + v)),
    ]
    power = torch.stack(lobe, dim=-2).square() * (amplitude * (n_fft / 4)).square()[..., None, :]
    index = below.long()[..., None, :] + torch.arange(-1, 3, device=place.device)[:, None]
    spectrum = power.new_zeros(*power.shape[:-2], bins)
    return spectrum.scatter_add(-1, index.flatten(-2), power.flatten(-2))


def _hump(t: Tensor) -> Tensor:
    """sin(pi u) / (pi t) for t = u (1 - u), u in [0, 1], to 1e-6."""
    return 1.0000000 + t * (0.9999997 + t * (0.3550749 + t * (0.0651086 + t * 0.0077118)))
