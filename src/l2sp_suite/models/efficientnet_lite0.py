"""EfficientNet-Lite0: the names of its layers in the package that has its weights, and in timm."""

from __future__ import annotations

import re

__all__ = ["MEAN", "STD", "timm_name"]

MEAN, STD = 0.49803922, 0.50196078
"""Of pixels in 0..1, to eight digits: the packaged weights take (x - 127) / 128 of 0..255."""

_PLACES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of the seven stages of EfficientNet-Lite0
_NUMBERS = [(stage, i) for stage, repeats in enumerate(_REPEATS) for i in range(repeats)]


def timm_name(name: str) -> str:
    """A parameter's name in timm's ``tf_efficientnet_lite0`` for its name in ``efficientnet-lite-pytorch``.

    That package counts the blocks through and timm counts within stages; the first block has no expansion,
    so its layers move up by one.
    """
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, _, leaf = name.partition(".")
        return f"{_PLACES[layer]}.{leaf}"
    number = int(block[1])
    layers = _FIRST if number == 0 else _BLOCK
    stage, index = _NUMBERS[number]
    return f"blocks.{stage}.{index}.{layers[block[2]]}.{block[3]}"
