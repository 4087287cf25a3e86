"""The network of UMSS and of the string models: from a mixture and the sources' f0 to raw controls of each source."""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from ddsp_zoo.dsp.scale import hz_to_unit
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.networks.gru import GRU


class SpectrogramNorm(nn.Module):
    """Normalises a whole example to zero mean and unit variance, then applies a learned scale and shift per bin."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(bins))
        self.shift = nn.Parameter(torch.zeros(bins))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Returns the normalised spectrogram, (B, N, F) like the given one."""
        variance, mean = torch.var_mean(spectrogram, dim=(1, 2), keepdim=True, correction=0)
        return (spectrogram - mean) / torch.sqrt(variance + 1e-5) * self.scale + self.shift


def mlp(inputs: int, width: int, layers: int = 3) -> nn.Sequential:
    """Makes a stack of ``layers`` times Linear, LayerNorm and LeakyReLU."""
    stack: list[nn.Module] = []
    for _ in range(layers):
        stack += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.LeakyReLU()]
        inputs = width
    return nn.Sequential(*stack)


class MixtureEncoder(nn.Module):
    """Encodes the log-magnitude STFT of the mixture as one latent per frame (UMSS; thesis figure 5.7, upper path).

    It has three unidirectional GRUs; the outputs of the last two are summed before the projection.
    """

    def __init__(self, n_fft: int = 512, hop: int = 256, width: int = 256, latent: int = 128) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        bins = n_fft // 2 + 1
        self.norm = SpectrogramNorm(bins)
        self.grus = nn.ModuleList(GRU(size, width) for size in (bins, width, width))
        self.project = nn.Linear(width, latent)

    def forward(self, audio: Tensor) -> Tensor:
        """Returns the latents (B, N, latent) of audio (B, T), N = T / hop."""
        magnitude = stft(audio, self.n_fft, self.hop).abs()[..., : audio.shape[-1] // self.hop]
        hidden = self.norm(magnitude.clamp(min=1e-5).log().transpose(1, 2))
        outputs = []
        for gru in self.grus:
            hidden, _ = gru(hidden)
            outputs.append(hidden)
        return self.project(outputs[-1] + outputs[-2])


class SourceDecoder(nn.Module):
    """Decodes the latent of the mixture and the f0 of each source to raw controls per source (thesis figure 5.15).

    Every source goes through the same weights; only its f0 distinguishes it.
    """

    def __init__(self, channels: int, latent: int = 128, width: int = 512) -> None:
        super().__init__()
        self.from_f0 = mlp(1, width)
        self.from_mixture = mlp(latent, width)
        self.gru = GRU(2 * width, width)
        self.refine = mlp(width, width)
        self.head = nn.Linear(width, channels)

    def forward(self, latent: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns raw controls (B, S, N, channels) from latent (B, N, Z) and f0_hz (B, S, N)."""
        hidden = self.hidden(self.from_mixture(latent), f0_hz)
        return self.head(self.refine(hidden))

    def hidden(self, mixture: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns the same as `hidden_expanded`, (B, S, N, W), but computes each number only once.

        mixture is (B, N, W) and f0_hz (B, S, N). The mixture's share in the gates serves all sources; the share
        of a pitch serves all frames that have it: the unvoiced ones, and those of a note in a score.
        """
        # Elsewhere the CPU would have to wait for the number of pitches, and a compiler cannot know it.
        if f0_hz.device.type != "cpu" or torch.compiler.is_compiling():
            return self.hidden_expanded(mixture, f0_hz)
        pitches, place = f0_hz.permute(2, 0, 1).unique(return_inverse=True)
        pitch = self.gru.project(self.from_f0(hz_to_unit(pitches)[:, None]), bias=False)
        shared = self.gru.project(mixture.transpose(0, 1), first=self.gru.input_size - mixture.shape[-1])
        gates = (embedding(place, pitch) + shared[:, :, None]).flatten(1, 2)
        hidden, _ = self.gru.scan(gates)
        return hidden.unflatten(1, f0_hz.shape[:2]).permute(1, 2, 0, 3)

    def hidden_expanded(self, mixture: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns the output (B, S, N, W) of the GRU, which reads MLP(f0) and a copy of the mixture for each source."""
        pitch = self.from_f0(hz_to_unit(f0_hz)[..., None])
        both = torch.cat([pitch, mixture[:, None].expand_as(pitch)], dim=-1)
        return self.gru(both.flatten(0, 1))[0].unflatten(0, f0_hz.shape[:2])
