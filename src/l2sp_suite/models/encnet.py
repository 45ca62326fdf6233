"""EncNet: dilated backbone, context encoding head, auxiliary head (docs/protocols/encnet.md)."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.models import timm_models as timm_nets
from l2sp_suite.models.encoding import Encoding
from l2sp_suite.utils.errors import UserError

__all__ = ["STRIDE", "EncHead", "EncNet", "Output", "build_network"]

STRIDE = 8  # of the feature maps that the heads read


class Output(NamedTuple):
    """Logits (B, C, H, W) at the size of the image, of the presence of classes (B, C), and of the auxiliary head."""

    logits: Tensor
    presence: Tensor
    aux: Tensor


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution without bias that keeps the size, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _MeanCode(nn.Module):
    """The encoding branch: encodings (B, K, D), normalised over batch and D, rectified, averaged over K (1.4)."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        self.conv = _block(channels, channels, 1)
        self.encoding = Encoding(channels, codes)
        self.norm = nn.BatchNorm1d(codes)

    def forward(self, features: Tensor) -> Tensor:
        encoded: Tensor = F.relu(self.norm(self.encoding(self.conv(features))))
        return encoded.mean(dim=1)


class EncModule(nn.Module):
    """Context encoding: gates the channels by the scene's code and predicts which classes occur (1.4).

    Args:
        channels: of the features.
        classes: C.
        codes: K, number of codewords.
    """

    def __init__(self, channels: int, classes: int, codes: int) -> None:
        super().__init__()
        self.code = _MeanCode(channels, codes)
        self.gate = nn.Linear(channels, channels)
        self.presence = nn.Linear(channels, classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D, H, W) to gated features of the same shape and presence logits (B, C)."""
        code = self.code(features)
        gate = torch.sigmoid(self.gate(code))[:, :, None, None]
        return F.relu(features + features * gate), self.presence(code)


class EncHead(nn.Module):
    """The head of EncNet with lateral connections (docs/protocols/encnet.md#head).

    Args:
        inputs: channels of the last three stages, c2, c3 and c4, all at stride 8.
        channels: of the head; as published a quarter of c4's.
        classes: C.
        codes: K, number of codewords.
        dropout: probability with which whole channels are dropped before the classifier.
    """

    def __init__(self, inputs: tuple[int, int, int], channels: int, classes: int, codes: int, dropout: float) -> None:
        super().__init__()
        *lateral, last = inputs
        self.conv5 = _block(last, channels, 3)
        self.connect = nn.ModuleList(_block(count, channels, 1) for count in lateral)
        self.fusion = _block(3 * channels, channels, 3)
        self.context = EncModule(channels, classes, codes)
        self.conv6 = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, classes, 1))

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Feature maps c2, c3, c4 to logits (B, C, h, w) at their size and presence logits (B, C)."""
        *lateral, last = features
        connected = [connect(feature) for connect, feature in zip(self.connect, lateral, strict=True)]
        fused = self.fusion(torch.cat([self.conv5(last), *connected], dim=1))
        gated, presence = self.context(fused)
        return self.conv6(gated), presence


class EncNet(nn.Module):
    """Backbone, head and auxiliary head; the parts' names begin all parameter names.

    Args:
        backbone: from images to three feature maps at stride 8, of `inputs` channels.
        inputs: channels of these maps.
        channels: of the head.
        classes: C.
        codes: number of codewords.
        dropout: probability in both heads.
    """

    def __init__(
        self,
        backbone: nn.Module,
        inputs: tuple[int, int, int],
        channels: int,
        classes: int,
        codes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = EncHead(inputs, channels, classes, codes, dropout)
        middle = inputs[1] // 4
        self.aux = nn.Sequential(*_block(inputs[1], middle, 3), nn.Dropout2d(dropout), nn.Conv2d(middle, classes, 1))

    def forward(self, images: Tensor) -> Output:
        """Normalised RGB images (B, 3, H, W)."""
        size = images.shape[-2:]
        features = self.backbone(images)
        logits, presence = self.head(features)
        return Output(_enlarge(logits, size), presence, _enlarge(self.aux(features[1]), size))

    def segment(self, images: Tensor) -> Tensor:
        """The main logits (B, C, H, W) alone: what evaluation needs."""
        return _enlarge(self.head(self.backbone(images))[0], images.shape[-2:])


def _enlarge(maps: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)


def build_network(name: str, width: float, classes: int, codes: int, dropout: float) -> EncNet:
    """EncNet on a backbone of timm, with new weights from torch's global generator.

    Args:
        name: backbone; as published `resnet50s` or `resnet101s`, otherwise any that timm can give at stride 8.
        width: factor of a ResNet's channels; the heads follow.
        classes: C.
        codes: number of codewords (32 as published).
        dropout: of the heads (0.1 as published).

    Raises:
        UserError: no such backbone, or none with three feature maps at stride 8.
    """
    backbone = timm_nets.create(name, width, features_only=True, output_stride=STRIDE, out_indices=(-3, -2, -1))
    info = cast(Any, backbone.feature_info)
    if info.reduction() != [STRIDE] * 3:
        raise UserError(f"network: the last stages of {name} have strides {info.reduction()}, not {STRIDE} each")
    first, second, third = info.channels()
    return EncNet(backbone, (first, second, third), third // 4, classes, codes, dropout)
