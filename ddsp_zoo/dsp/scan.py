"""First-order recursions by recursive doubling, for devices on which more work costs less than waiting."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def scan(x: Tensor, pole: Tensor, last: Tensor) -> Tensor:
    """Returns y (T, R) with y[n] = x[n] + pole[n] y[n - 1] along the first axis; x, pole (T, R), y[-1] = last (R,)."""
    y, step = torch.cat([x[:1] + pole[:1] * last, x[1:]]), 1
    while step < len(x):
        y = torch.cat([y[:step], torch.addcmul(y[step:], pole[step:], y[:-step])])
        pole = torch.cat([torch.zeros_like(pole[:step]), pole[step:] * pole[:-step]])
        pole = torch.where(pole.abs() < 1e-30, 0.0, pole)  # no denormals: they are slow and inaudible
        step *= 2
    return y


class FirstOrder(torch.autograd.Function):
    """Computes `scan`; its adjoint is a scan backwards in time and stores nothing but input and output."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, pole: Tensor, last: Tensor) -> Tensor:
        y = scan(x, pole, last)
        ctx.save_for_backward(torch.cat([last[None], y[:-1]]), pole)
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before, pole = ctx.saved_tensors
        later = torch.cat([pole[1:], torch.zeros_like(pole[:1])])
        adjoint = scan(grad.flip(0), later.flip(0), torch.zeros_like(grad[0])).flip(0)
        return adjoint, adjoint * before, pole[0] * adjoint[0]
