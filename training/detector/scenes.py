"""Training scenes made on the GPU: crops at random scale, mosaics, pasted people, and what cameras do to colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SIDE = 640
PAD = 114.0
MOST_PEOPLE = 48


class Album:
    """Packed pictures on a device, at full and at half size, with their boxes padded to :data:`MOST_PEOPLE`."""

    def __init__(self, files: list[Path], device: torch.device, weights: dict[str, float]) -> None:
        canvases: list[tuple[np.ndarray, tuple[int, int]]] = []
        boxes: list[np.ndarray] = []
        kinds: list[np.ndarray] = []
        chances: list[float] = []
        for file in files:
            stored = np.load(file)
            ends = stored["ends"]
            blob = stored["blob"]
            pieces = [blob[a:b] for a, b in zip(np.r_[0, ends[:-1]], ends, strict=True)]
            with ThreadPoolExecutor(8) as pool:
                canvases += pool.map(_canvas, pieces)
            for number in range(len(ends)):
                rows = stored["boxes"][stored["boxes"][:, 0] == number][:MOST_PEOPLE]
                padded = np.zeros((MOST_PEOPLE, 4), np.float32)
                kind = np.full(MOST_PEOPLE, -1, np.int64)
                padded[: len(rows)], kind[: len(rows)] = rows[:, 1:5], rows[:, 5]
                boxes.append(padded)
                kinds.append(kind)
            names = stored["sources"]
            group, counts = np.unique(names, return_counts=True)
            share = {g: _weight(g, weights) / c for g, c in zip(group, counts, strict=True)}
            chances += [share[n] for n in names]
        sizes = [c[1] for c in canvases]
        self.full = torch.from_numpy(np.stack([c[0] for c in canvases])).to(device).permute(0, 3, 1, 2).contiguous()
        self.half = torch.cat([functional.avg_pool2d(part.float(), 2).round().byte() for part in self.full.split(64)])
        self.sizes = torch.tensor(sizes, device=device, dtype=torch.float32)
        self.boxes = torch.from_numpy(np.stack(boxes)).to(device)
        self.kinds = torch.from_numpy(np.stack(kinds)).to(device)
        self.chances = torch.tensor(chances, device=device, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.sizes)


def _weight(source: str, weights: dict[str, float]) -> float:
    return next((w for start, w in weights.items() if source.startswith(start)), 1.0)


def _canvas(jpeg: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a packed picture is no JPEG file: pack them again")
    height, width = picture.shape[:2]
    canvas = np.full((SIDE, SIDE, 3), int(PAD), np.uint8)
    canvas[:height, :width] = picture
    return canvas, (width, height)


def uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(n, device=device) * (high - low) + low


def crops(album: Album, chosen: Tensor, side: int, people: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """A random view of each chosen picture.

    Returns pictures (n, 3, 2 * side, 2 * side), twice as fine as asked so that averaging them removes aliasing; boxes
    (n, m, 4) in pixels of ``side``; kinds (n, m): 1 person, 0 to ignore, -1 none. Half of the views scale the picture
    freely around the size at which it fills the view; the other half aim at a random person and scale it to a height
    drawn (in log) from ``people``, so that small people are as frequent as large ones.
    """
    device, n = album.boxes.device, len(chosen)
    sizes, boxes, kinds = album.sizes[chosen], album.boxes[chosen], album.kinds[chosen].clone()
    fill = side / sizes.amax(1)
    scale = fill * torch.exp(uniform(n, -0.45, 0.7, device))
    centre = sizes / 2 + (torch.rand(n, 2, device=device) - 0.5) * sizes * 0.45
    person = kinds == 1
    pick = (torch.rand(kinds.shape, device=device) * person).argmax(1)
    aimed = boxes[torch.arange(n, device=device), pick]
    height = (aimed[:, 3] - aimed[:, 1]).clamp(min=4)
    low, high = np.log(people[0]), np.log(people[1])
    to_height = torch.exp(uniform(n, low, high, device)) / height
    to_height = torch.minimum(torch.maximum(to_height, fill * 0.45), fill * 4)
    near = (aimed[:, :2] + aimed[:, 2:]) / 2 + (torch.rand(n, 2, device=device) - 0.5) * 0.8 * side / to_height[:, None]
    aim = person.any(1) & (torch.rand(n, device=device) < 0.5)
    scale = torch.where(aim, to_height, scale)
    centre = torch.where(aim[:, None], near, centre)
    stretch = torch.exp(uniform(n, -0.15, 0.15, device))
    scales = torch.stack([scale * stretch, scale / stretch], 1)
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)

    # From view coordinates in [-1, 1] to canvas coordinates in [-1, 1].
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = flip * side / scales[:, 0] / SIDE
    theta[:, 1, 1] = side / scales[:, 1] / SIDE
    theta[:, :, 2] = centre / SIDE * 2 - 1
    views = torch.empty(n, 3, 2 * side, 2 * side, device=device)
    small = scale * 2 < 0.75
    for source, rows in ((album.full, (~small).nonzero()[:, 0]), (album.half, small.nonzero()[:, 0])):
        if len(rows):
            where = functional.affine_grid(theta[rows], [len(rows), 3, 2 * side, 2 * side], align_corners=False)
            picked = source[chosen[rows]].float() - PAD
            views[rows] = functional.grid_sample(picked, where, align_corners=False) + PAD

    moved = (boxes - centre[:, None].repeat(1, 1, 2)) * scales[:, None].repeat(1, 1, 2)
    xs = torch.where(flip[:, None, None] < 0, -moved[..., [2, 0]], moved[..., [0, 2]])
    moved = torch.stack([xs[..., 0], moved[..., 1], xs[..., 1], moved[..., 3]], -1) + side / 2
    return views, *clip(moved, kinds, side)


def clip(boxes: Tensor, kinds: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Boxes cut at the view's border; people of whom little is left, or who are tiny, become areas to ignore."""
    cut = boxes.clamp(0, side)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(-1)
    sides = cut[..., 2:] - cut[..., :2]
    left = sides.clamp(min=0).prod(-1) / area
    kinds = torch.where((kinds == 1) & ((left < 0.35) | (sides[..., 1] < 9) | (sides[..., 0] < 3)), 0, kinds)
    return cut, torch.where((sides.amin(-1) < 1) | (left < 0.02), -1, kinds)


def mosaic(album: Album, chosen: Tensor, side: int, people: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Four views in one: as :func:`crops`, from (n, 4) chosen pictures."""
    n, half = len(chosen), side // 2
    views, boxes, kinds = crops(album, chosen.flatten(), half, (people[0], people[1] / 2))
    views = views.view(n, 2, 2, 3, side, side).permute(0, 3, 1, 4, 2, 5).reshape(n, 3, 2 * side, 2 * side)
    offsets = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=boxes.device).repeat(1, 2).float() * half
    boxes = boxes.view(n, 4, -1, 4) + offsets[None, :, None]
    return views, *_front(boxes.flatten(1, 2), kinds.view(n, -1))


def _front(boxes: Tensor, kinds: Tensor, most: int = MOST_PEOPLE) -> tuple[Tensor, Tensor]:
    """The rows in use moved to the front, and the rest cut off."""
    order = kinds.argsort(dim=1, descending=True, stable=True)[:, :most]
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), kinds.gather(1, order)


class Cutouts:
    """People to paste: BGRA (n, 4, h, w) uint8 and the boxes (n, 4) of their opaque parts, on a device."""

    def __init__(self, pictures: np.ndarray, boxes: np.ndarray, device: torch.device) -> None:
        self.pictures = torch.from_numpy(pictures).to(device)
        self.boxes = torch.from_numpy(boxes).to(device)


def paste(
    views: Tensor, boxes: Tensor, kinds: Tensor, cutouts: Cutouts, heights: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Each view with one cut-out person more, at a random place and height; who is covered by it becomes ignored."""
    device, n, fine = views.device, len(views), views.shape[-1]
    side = fine / 2
    chosen = torch.randint(len(cutouts.boxes), (n,), device=device)
    own = cutouts.boxes[chosen]
    height = torch.exp(uniform(n, float(np.log(heights[0])), float(np.log(heights[1])), device))
    scale = height / (own[:, 3] - own[:, 1])
    centre = torch.rand(n, 2, device=device) * side
    middle = (own[:, :2] + own[:, 2:]) / 2
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    tall, wide = cutouts.pictures.shape[2:]
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = flip * side / scale / wide
    theta[:, 1, 1] = side / scale / tall
    extent = torch.tensor([wide, tall], device=device)
    reach = torch.stack([flip, torch.ones_like(flip)], 1)
    theta[:, :, 2] = (middle + reach * (side / 2 - centre) / scale[:, None]) / extent * 2 - 1
    where = functional.affine_grid(theta, [n, 4, fine, fine], align_corners=False)
    layer = functional.grid_sample(cutouts.pictures[chosen].float(), where, align_corners=False)
    alpha = layer[:, 3:] / 255
    tone = 1 + 0.25 * torch.randn(n, 1, 1, 1, device=device)
    views = views * (1 - alpha) + (layer[:, :3] * tone).clamp(0, 255) * alpha
    half = (own[:, 2:] - own[:, :2]) * scale[:, None] / 2
    box, kind = clip(torch.cat([centre - half, centre + half], 1)[:, None], kinds.new_ones(n, 1), int(side))
    low = torch.maximum(boxes[..., :2], box[..., :2])
    high = torch.minimum(boxes[..., 2:], box[..., 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    covered = inner / (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(-1)
    kinds = torch.where((kinds == 1) & (covered > 0.75), 0, kinds)
    boxes, kinds = _front(torch.cat([box, boxes], 1), torch.cat([kind, kinds], 1))
    return views, boxes, kinds


def camera(views: Tensor) -> Tensor:
    """What cameras differ in: exposure, contrast, gamma, colour, focus, noise. (n, 3, h, w) in 0-255, same out."""
    device, n = views.device, len(views)

    def chance(p: float) -> Tensor:
        return (torch.rand(n, 1, 1, 1, device=device) < p).float()

    def spread(low: float, high: float, p: float) -> Tensor:
        return 1 + chance(p) * (uniform(n, low, high, device).view(n, 1, 1, 1) - 1)

    x = views / 255
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (spread(0.4, 1.6, 0.7) * (1 - chance(0.12)))
    x = x * (1 + 0.08 * chance(0.5) * torch.randn(n, 3, 1, 1, device=device))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * spread(0.6, 1.4, 0.6)) * spread(0.55, 1.5, 0.7)
    x = x.clamp(1e-4, 1) ** spread(0.7, 1.5, 0.4)
    coarse = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    soft = chance(0.25) * uniform(n, 0.3, 1.0, device).view(n, 1, 1, 1)
    x = x + soft * (coarse - x)
    x = x + chance(0.4) * 0.03 * torch.rand(n, 1, 1, 1, device=device) * torch.randn_like(x)
    return x.clamp(0, 1) * 255


def scenes(album: Album, cutouts: Cutouts | None, n: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """n training pictures (n, 3, side, side) in 0-255, boxes (n, m, 4), kinds (n, m): half single, half mosaics."""
    single = n // 2
    drawn = torch.multinomial(album.chances, single + 4 * (n - single), replacement=True)
    people = (12.0, 0.9 * side)
    parts = [crops(album, drawn[:single], side, people), mosaic(album, drawn[single:].view(-1, 4), side, people)]
    views, boxes, kinds = (torch.cat(p) for p in zip(*parts, strict=True))
    if cutouts is not None:
        order = torch.randperm(n, device=views.device)
        views, boxes, kinds = views[order], boxes[order], kinds[order]
        for first, last in ((0, n // 3), (n // 6, n // 3)):
            done = paste(views[first:last], boxes[first:last], kinds[first:last], cutouts, (28.0, 0.6 * side))
            views[first:last], boxes[first:last], kinds[first:last] = done
    return camera(functional.avg_pool2d(views, 2)), boxes, kinds
