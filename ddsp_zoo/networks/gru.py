"""A gated recurrent unit whose whole sequence is one operation on the CPU, with a hand-written adjoint.

`nn.GRU` has no fused form for training on a CPU: it records a dozen nodes a step and adds up the gradients of its
weights step by step. Here a step is one matrix product and four pointwise operations in place, and the gradient of
a weight is one matrix product over all steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import linear, pad

from ddsp_zoo.dsp.operators import operator
from ddsp_zoo.errors import DdspZooError


class GRU(nn.RNNBase):
    """Replaces `nn.GRU(inputs, width, batch_first=True)`: same weights and names, same results up to rounding.

    Devices other than the CPU use torch's own GRU. Under autocast the matrix products run in the lower
    precision, while gates and state keep the precision of the weights (`nn.GRU` also rounds the state, at every
    step).
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__("GRU", inputs, width, batch_first=True)  # `torch.compile` refuses children of nn.GRU

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the outputs (B, N, width) for x (B, N, inputs), and the last state (1, B, width).

        ``state`` is the state to begin with, (1, B, width); None means zeros. Raises `DdspZooError` for other
        shapes.
        """
        if x.ndim != 3 or x.shape[-1] != self.input_size or not x.shape[1]:
            raise DdspZooError(
                f"This GRU takes (batch, frames, {self.input_size}) with at least one frame, got {tuple(x.shape)}."
            )
        if x.device.type != "cpu":
            return nn.GRU.forward(self, x, state)
        hidden, last = self.scan(self.project(x.transpose(0, 1)), None if state is None else state[0])
        return hidden.transpose(0, 1), last[None]

    def project(self, x: Tensor, first: int = 0, bias: bool = True) -> Tensor:
        """Returns the share (..., 3 width) that some inputs x (..., n) have in the gates.

        They are the inputs ``first`` to first + n - 1. The projection of a concatenation is the sum of the
        projections of its parts, one of them with ``bias``.
        """
        weight = self.weight_ih_l0[:, first : first + x.shape[-1]]
        if not bias:
            return linear(x, weight)
        # The recurrent biases of reset and update only ever add to the input's; the candidate's is gated.
        recurrent = pad(self.bias_hh_l0[: -self.hidden_size], (0, self.hidden_size))
        return linear(x, weight, self.bias_ih_l0 + recurrent)

    def scan(self, gates: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns all states (N, R, width) and the last one (R, width), from projected inputs (N, R, 3 width).

        Time is the first axis. ``state`` (R, width) is the one to begin with; None means zeros. Raises
        `DdspZooError` for a state of another shape.
        """
        weight, bias = self.weight_hh_l0, self.bias_hh_l0[-self.hidden_size :]
        if state is None:
            state = bias.new_zeros(gates.shape[1], self.hidden_size)
        if gates.ndim != 3 or state.shape != (gates.shape[1], self.hidden_size):
            raise DdspZooError(
                f"The state of this GRU is (1, batch, {self.hidden_size}) with the batch of its input, "
                f"{gates.shape[1]}; got {(1, *state.shape)}."
            )
        if torch.is_autocast_enabled("cpu"):
            weight = weight.to(torch.get_autocast_dtype("cpu"))
        hidden, _ = gru_scan(gates.to(bias.dtype), weight, bias, state.to(bias.dtype))
        return hidden[1:], hidden[-1]


@operator("ddsp_zoo::gru_scan", device_types="cpu")
def gru_scan(gates: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the recurrence of a GRU over projected inputs.

        r, z = sigmoid(g_rz + W_rz h),  c = W_n h + b,  n = tanh(g_n + r c),  h' = n + z (h - n)

    Gates g (N, R, 3H) come in the order r, z, n; weight W is (3H, H), in the dtype of the products; bias b is
    (H,); state h is (R, H). Returns all states (N + 1, R, H), the first of them ``state``, and r, z, c, n as
    (N, R, 4H) for the adjoint. Source: Cho et al. 2014, with r applied after the product as in cuDNN and
    `nn.GRU`.
    """
    (frames, rows, _), width = gates.shape, state.shape[1]
    hidden, memory = gates.new_empty(frames + 1, rows, width), gates.new_empty(frames, rows, 4 * width)
    hidden[0] = state
    times_weight = _multiplier(weight, rows)
    # Views of all frames are made once: at small batches they would cost as much as the arithmetic.
    parts = (*gates.split((2 * width, width), dim=2), memory[..., : 2 * width], *memory.split(width, dim=2))
    views = map(torch.unbind, (hidden, hidden[1:], *parts))
    for before, after, given_rz, given_n, rz, r, z, c, n in zip(*views):
        own_rz, own_n = times_weight(before).split((2 * width, width), dim=1)
        torch.add(given_rz, own_rz, out=rz).sigmoid_()
        torch.add(bias, own_n, out=c)
        torch.addcmul(given_n, r, c, out=n).tanh_()
        torch.lerp(n, before, z, out=after)
    return hidden, memory


@operator("ddsp_zoo::gru_scan_adjoint", device_types="cpu")
def gru_scan_adjoint(
    grad: Tensor, hidden: Tensor, memory: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of gates, weight, bias and state, from the gradient (N + 1, R, H) of the states."""
    width = hidden.shape[-1]
    reset, update, recurrent, candidate = memory.split(width, dim=2)
    # First what a unit of dh is worth at the argument of each gate (r, z, c); a step then multiplies it by dh.
    worth = memory.new_empty(*memory.shape[:2], 3, width)
    at_candidate = (1 - candidate.square()).mul_(1 - update)
    torch.mul(at_candidate, reset, out=worth[:, :, 2])
    torch.mul(worth[:, :, 2], recurrent, out=worth[:, :, 0]).mul_(1 - reset)
    torch.sub(hidden[:-1], candidate, out=worth[:, :, 1]).mul_(update).mul_(1 - update)
    flow, gates = grad.clone(memory_format=torch.contiguous_format), worth.flatten(2)
    times_weight = _multiplier(weight.t(), hidden.shape[1])
    views = map(torch.unbind, (flow, flow[1:], flow[1:, :, None], update, worth, gates))
    for before, after, wide_after, z, by_part, by_gate in reversed(list(zip(*views))):
        by_part.mul_(wide_after)
        before.addcmul_(after, z).add_(times_weight(by_gate))
    all_gates, all_states = (x.flatten(0, 1).to(weight.dtype) for x in (gates, hidden[:-1]))
    weight_grad = all_gates.t() @ all_states
    bias_grad = worth[:, :, 2].sum((0, 1))
    torch.mul(flow[1:], at_candidate, out=worth[:, :, 2])  # the input enters behind the reset gate
    return gates, weight_grad, bias_grad, flow[0].clone()


def _multiplier(matrix: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """Returns the function x -> x @ matrix.T in the matrix's dtype, for many x (rows, n).

    oneDNN keeps the matrix in the layout that its product needs, whereas BLAS makes one at every call.
    """
    mkldnn = torch.ops.mkldnn
    there = torch.backends.mkldnn.is_available() and hasattr(mkldnn, "_linear_pointwise")
    halves = there and matrix.dtype == torch.bfloat16 and mkldnn._is_mkldnn_bf16_supported()
    if not halves and not (there and matrix.dtype == torch.float32):
        return lambda x: x.to(matrix.dtype) @ matrix.t()
    packed = mkldnn._reorder_linear_weight(matrix.contiguous(), rows)
    return lambda x: mkldnn._linear_pointwise(x.to(matrix.dtype), packed, None, "none", [], "")


@gru_scan.register_fake
def _(gates: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    (frames, rows, _), width = gates.shape, state.shape[1]
    return gates.new_empty(frames + 1, rows, width), gates.new_empty(frames, rows, 4 * width)


@gru_scan_adjoint.register_fake
def _(grad: Tensor, hidden: Tensor, memory: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (frames, rows, _), width = memory.shape, hidden.shape[-1]
    gates = memory.new_empty(frames, rows, 3 * width)
    return gates, torch.empty_like(weight), hidden.new_empty(width), torch.empty_like(hidden[0])


def _keep(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)  # of the memory, which nobody differentiates
    ctx.save_for_backward(*output, inputs[1])


def _backward(ctx: FunctionCtx, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    return (None,) * 4 if grad is None else gru_scan_adjoint(grad, *ctx.saved_tensors)


gru_scan.register_autograd(_backward, setup_context=_keep)
