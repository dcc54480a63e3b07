"""Random views of crops, made on the GPU: place, scale, mirroring, colour, blur, low resolution, erasing."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from training.reid.network import MEAN, STD

HEIGHT, WIDTH = 256, 128
# How much each of red, green and blue counts in a grey picture (ITU-R BT.601).
GREY = (0.299, 0.587, 0.114)


def _chance(n: int, p: float, device: torch.device) -> Tensor:
    return (torch.rand(n, 1, 1, 1, device=device) < p).float()


def _draw(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(n, 1, 1, 1, device=device) * (high - low) + low


@cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """(3, 1, 1) on the device; copied there once, since a captured step may copy nothing."""
    return torch.tensor(values, device=device).view(3, 1, 1)


def _shuffled(n: int, device: torch.device) -> Tensor:
    return torch.rand(n, device=device).argsort()


def normalise(pictures: Tensor) -> Tensor:
    """0-255 RGB to what the network takes."""
    return (pictures - _channels(MEAN, pictures.device)) / _channels(STD, pictures.device)


def plain(pictures: Tensor) -> Tensor:
    """uint8 (n, 3, h, w) RGB to the network's size and range, unchanged otherwise."""
    return normalise(functional.interpolate(pictures.float(), (HEIGHT, WIDTH), mode="bilinear", align_corners=False))


def occluded(x: Tensor, share: float) -> Tensor:
    """That share of the pictures with a part hidden by another picture's person: from the side, or from below.

    The other picture is laid over as it would walk by: moved sideways by half to four fifths of the width, or up.
    """
    device, n = x.device, len(x)
    ys = torch.arange(HEIGHT, device=device).view(1, 1, HEIGHT, 1)
    xs = torch.arange(WIDTH, device=device).view(1, 1, 1, WIDTH)
    other = x[_shuffled(n, device)]
    side = torch.randint(0, 3, (n, 1, 1, 1), device=device)
    reach = _draw(n, 0.2, 0.5, device)
    place = (reach * WIDTH).long()
    from_left = xs < place
    from_right = xs >= WIDTH - place
    from_below = ys >= HEIGHT - (reach * HEIGHT).long()
    hidden = torch.where(side == 0, from_left, torch.where(side == 1, from_right, from_below))
    # Whoever stands in front shows the middle of his body at the border of the picture.
    half = WIDTH // 2
    shifted = torch.where(side == 0, other.roll(-half, 3), torch.where(side == 1, other.roll(half, 3), other))
    return torch.where(hidden & _chance(n, share, device).bool(), shifted, x)


def placed(pictures: Tensor) -> Tensor:
    """uint8 (n, 3, h, w) RGB at the network's size, 0-1, moved, scaled and mirrored a little."""
    device, n = pictures.device, len(pictures)
    theta = torch.zeros(n, 2, 3, device=device)
    zoom = torch.rand(n, 2, device=device) * 0.2 + 0.86
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    theta[:, 0, 0], theta[:, 1, 1] = zoom[:, 0] * flip, zoom[:, 1]
    theta[:, 0, 1] = (torch.rand(n, device=device) - 0.5) * 0.08
    theta[:, 0, 2] = (torch.rand(n, device=device) - 0.5) * 0.16
    theta[:, 1, 2] = (torch.rand(n, device=device) - 0.5) * 0.12
    where = functional.affine_grid(theta, [n, 3, HEIGHT, WIDTH], align_corners=False)
    return functional.grid_sample(pictures.float(), where, padding_mode="border", align_corners=False) / 255


def varied(x: Tensor, strength: float = 1.0, erase: float = 0.35, hide: float = 0.0) -> Tensor:
    """What cameras and bystanders do to pictures as :func:`placed` returns them; normalised (n, 3, 256, 128).

    ``strength`` scales what changes colours and sharpness; ``erase`` is the share of views with a rectangle replaced
    by noise, ``hide`` the share of those partly hidden by another person.
    """
    device, n = x.device, len(x)
    x = occluded(x, hide)

    # A quarter as seen from afar: shrunk, then enlarged again.
    order = _shuffled(n, device)
    for share, factor in ((0.10, 2), (0.10, 4), (0.05, 6)):
        rows, order = order[: int(n * share * strength)], order[int(n * share * strength) :]
        if len(rows):
            small = functional.interpolate(
                x[rows], (HEIGHT // factor, WIDTH // factor), mode="bilinear", antialias=True
            )
            x[rows] = functional.interpolate(small, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)

    grey = (x * _channels(GREY, device)).sum(1, keepdim=True)
    saturation = 1 + strength * _chance(n, 0.6, device) * _draw(n, -0.45, 0.45, device)
    saturation = saturation * (1 - _chance(n, 0.08 * strength, device))
    x = grey + (x - grey) * saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast = 1 + strength * _chance(n, 0.6, device) * _draw(n, -0.35, 0.35, device)
    light = 1 + strength * _chance(n, 0.7, device) * _draw(n, -0.4, 0.4, device)
    cast = 1 + strength * 0.08 * _chance(n, 0.5, device) * torch.randn(n, 3, 1, 1, device=device)
    x = (mean + (x - mean) * contrast) * light * cast
    x = x + strength * 0.03 * _chance(n, 0.3, device) * torch.randn_like(x)
    x = normalise(x.clamp(0, 1) * 255)

    if erase > 0:
        ys = torch.arange(HEIGHT, device=device).view(1, 1, HEIGHT, 1)
        xs = torch.arange(WIDTH, device=device).view(1, 1, 1, WIDTH)
        tall, wide = _draw(n, 0.15, 0.5, device) * HEIGHT, _draw(n, 0.2, 0.6, device) * WIDTH
        top, left = _draw(n, -0.1, 0.9, device) * HEIGHT, _draw(n, -0.1, 0.9, device) * WIDTH
        gone = (ys >= top) & (ys < top + tall) & (xs >= left) & (xs < left + wide)
        gone &= _chance(n, erase, device).bool()
        x = torch.where(gone, torch.randn(n, 3, 1, 1, device=device).expand_as(x), x)
    return x
