"""A stream of frames in consecutive pieces: which frames can be rendered, and which wait for later ones."""

from typing import NamedTuple

from torch import Tensor, cat

from ddsp_zoo.dsp.noise import check_magnitudes, filter_frames

Frames = dict[str, Tensor]  # {name: (R, N, ...)}, all of the same N


class Window(NamedTuple):
    """Holds consecutive frames of a stream: those to be rendered now, and what they need before and after.

    frames: {name: (R, N, ...)}.
    first: how many frames at the beginning are there only for what follows.
    count: how many frames are to be rendered; what is left waits for the next piece.
    """

    frames: Frames
    first: int
    count: int

    @classmethod
    def over(cls, waiting: "Window | None", new: Frames, after: int, last: bool, group: int = 1) -> "Window":
        """Returns what can be rendered of the frames that waited and of new ones.

        ``after`` frames at the end are needed by those before them and wait, unless these are the ``last`` ones; so do
        those that make no whole ``group``.
        """
        first = waiting.first if waiting else 0
        frames = {name: cat([waiting.frames[name], x], 1) for name, x in new.items()} if waiting else new
        ready = next(iter(frames.values())).shape[1] - first - (0 if last else after)
        ready = max(ready, 0)
        return cls(frames, first, ready if last else ready - ready % group)

    def waiting(self, before: int) -> "Window":
        """Returns what the next piece begins with: what was not rendered, and ``before`` frames that were."""
        done = self.first + self.count
        start = max(done - before, 0)
        return Window({name: x[:, start:] for name, x in self.frames.items()}, done - start, 0)

    def alone(self, start: int, most: int) -> "Window":
        """Returns, of the frames to be rendered, ``most`` from ``start`` on as a window without any others."""
        stop = self.first + min(start + most, self.count)
        frames = {name: x[:, self.first + start : stop] for name, x in self.frames.items()}
        return Window(frames, 0, stop - self.first - start)

    @property
    def lookahead(self) -> bool:
        """Tells whether another frame follows those that are rendered."""
        return self.first + self.count < next(iter(self.frames.values())).shape[1]

    def moving(self, name: str) -> Tensor:
        """Returns the frames to be rendered, and with `lookahead` one more, which they move towards."""
        return self.frames[name][:, self.first : self.first + self.count + 1]

    def now(self, name: str) -> Tensor:
        """Returns the frames to be rendered."""
        return self.frames[name][:, self.first : self.first + self.count]

    def cut(self, audio: Tensor, hop: int) -> Tensor:
        """Cuts audio of all frames (..., N * hop) to those to be rendered (..., count * hop)."""
        return audio[..., self.first * hop : (self.first + self.count) * hop]

    def filtered_noise(self) -> Tensor:
        """Filters the frames "noise" (R, N, hop) by their "response" (R, N, F): -> (R, count * hop).

        `filter_reach` frames are needed on either side.
        """
        noise, response = self.frames["noise"], self.frames["response"]
        check_magnitudes(response, noise.shape[-1])
        return self.cut(filter_frames(noise, response), noise.shape[-1])


def filter_reach(points: int, hop: int) -> int:
    """Returns over how many frames to either side a noise filter of so many points is heard."""
    return -(-(points - 1) // hop)
