"""What the detector is trained towards: labels assigned as in YOLOX, and what the published network says.

SimOTA (YOLOX, Ge et al. 2021, section 2.3): every person gets the anchors that cost least, as many as the sum of its
ten best overlaps; an anchor that two people want goes to the cheaper one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.detector.network import decode


def box_overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes, xyxy, by broadcasting over all but the last dimension."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return inner / (area - inner).clamp(min=1e-6)


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al. 2019) of boxes row by row, from -1 to 1."""
    iou = box_overlap(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1) - inner
    return iou - (hull - union) / hull.clamp(min=1e-6)


@torch.no_grad()
def assign(
    boxes: Tensor, logits: Tensor, corners: Tensor, strides: Tensor, people: Tensor, kinds: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Who each anchor answers for.

    ``boxes`` (n, anchors, 4) predicted, ``logits`` (n, anchors, 2), ``people`` (n, m, 4), ``kinds`` (n, m). Returns the
    person's row per anchor (n, anchors), -1 for none; the overlap with it; and which anchors lie in areas to ignore.
    """
    centres = (corners + 0.5) * strides
    real = (kinds == 1)[..., None]
    inside_ignored = _inside(centres, people) & (kinds == 0)[..., None]
    middle = (people[..., :2] + people[..., 2:]) / 2
    reach = 2.5 * strides[:, 0]
    near = ((centres[None, None] - middle[:, :, None]).abs().amax(-1) < reach) & real
    inside = _inside(centres, people) & real
    candidate = (near | inside).any(1, keepdim=True) & real
    iou = box_overlap(people[:, :, None], boxes[:, None])
    score = torch.sigmoid(logits.float()).prod(-1).clamp(1e-6, 1).sqrt()
    cost = -torch.log(score)[:, None] - 3 * torch.log(iou + 1e-8) + 1e5 * ~(near & inside) + 1e9 * ~candidate
    overlap = torch.where(candidate, iou, 0.0)
    wanted = overlap.topk(10, 2).values.sum(2).int().clamp(min=1)
    cheapest, places = cost.topk(10, 2, largest=False)
    take = (torch.arange(10, device=cost.device) < wanted[..., None]) & (cheapest < 1e8)
    chosen = torch.zeros_like(cost, dtype=torch.bool).scatter_(2, places, take)
    cost = torch.where(chosen, cost, torch.inf)
    best, person = cost.min(1)
    person = torch.where(torch.isfinite(best), person, -1)
    matched = iou.gather(1, person.clamp(min=0)[:, None])[:, 0]
    return person, matched, inside_ignored.any(1) & (person < 0)


def _inside(centres: Tensor, boxes: Tensor) -> Tensor:
    x, y = centres[:, 0], centres[:, 1]
    left, top, right, bottom = boxes[..., None].unbind(2)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def losses(
    raw: Tensor, teacher: Tensor, corners: Tensor, strides: Tensor, people: Tensor, kinds: Tensor
) -> dict[str, Tensor]:
    """The parts of the loss by name; ``raw`` and ``teacher`` are logits (n, anchors, 6) on the same pictures.

    ``teach`` pulls the score where no label speaks (no person assigned) towards the published network's score, and is
    what keeps the knowledge of the 118,000 pictures which that network saw. In areas to ignore it is the only pull.
    """
    raw, teacher = raw.float(), teacher.float()
    boxes = decode(raw, corners, strides)
    person, iou, ignored = assign(boxes.detach(), raw[..., 4:].detach(), corners, strides, people, kinds)
    hit = person >= 0
    count = hit.sum().clamp(min=1)
    target = people.gather(1, person.clamp(min=0)[..., None].expand(-1, -1, 4))
    box = (1 - generalised_overlap(boxes[hit], target[hit])).sum() / count
    objectness = functional.binary_cross_entropy_with_logits(raw[..., 4], hit.float(), reduction="none")
    objectness = (objectness * ~ignored).sum() / count
    name = functional.binary_cross_entropy_with_logits(raw[..., 5][hit], iou[hit].clamp(0, 1), reduction="sum") / count
    score = torch.sigmoid(raw[..., 4:]).prod(-1).clamp(1e-6, 1 - 1e-6)
    taught = torch.sigmoid(teacher[..., 4:]).prod(-1)
    teach = functional.binary_cross_entropy(score, taught, reduction="none") - functional.binary_cross_entropy(
        taught.clamp(1e-6, 1 - 1e-6), taught, reduction="none"
    )
    teach = (teach * ~hit).sum() / count
    sure = (taught > 0.3) & ~hit
    seen = decode(teacher, corners, strides)
    shape = (1 - generalised_overlap(boxes[sure], seen[sure])).sum() / count
    return {"box": box, "objectness": objectness, "person": name, "teach": teach, "shape": shape}
