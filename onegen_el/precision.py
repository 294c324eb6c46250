"""Which type a model's layers compute in: bfloat16 where the device does so in hardware.

Knows torch's devices and types; no model is known here.
"""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def computing_type(precision: Precision, weights: torch.dtype, device: torch.device) -> torch.dtype:
    """Type to compute in with weights of type `weights` on `device`.

    `auto` is bfloat16 where that is faster than the weights' own type: for float32 on a device that computes
    in bfloat16.
    """
    if precision == "auto":
        return torch.bfloat16 if weights == torch.float32 and has_bfloat16(device) else weights
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 by its own units; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # `torch.ops.mkldnn._is_mkldnn_bf16_supported` will not do: it is true for AVX-512 without such units.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not public, so they may be missing
    return device.type == "cpu" and any(getattr(torch.cpu, check, bool)() for check in checks)
