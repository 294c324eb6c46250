"""The type a model computes in, and how near bfloat16 comes to float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import NAMES, SENTENCES, tiny_backbone

from onegen_el.precision import Precision, computing_type, has_bfloat16

CPU = torch.device("cpu")
AVX512, AMX = "_is_avx512_bf16_supported", "_is_amx_tile_supported"


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_a_cpu_with_units_and_one_without(monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, AVX512, lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, AMX, lambda: amx, raising=False)
    assert has_bfloat16(CPU) == (avx512 or amx)
    assert not has_bfloat16(torch.device("mps"))


def test_a_torch_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (AVX512, AMX):
        monkeypatch.delattr(torch.cpu, check, raising=False)
    assert not has_bfloat16(CPU)


@pytest.mark.parametrize(
    ("precision", "weights", "units", "computed"),
    [
        ("auto", torch.float32, True, torch.bfloat16),
        ("auto", torch.float32, False, torch.float32),
        ("auto", torch.float16, True, torch.float16),  # as fast as it is, and finer
        ("float32", torch.float32, True, torch.float32),
        ("bfloat16", torch.float32, False, torch.bfloat16),
    ],
)
def test_what_is_computed_in(
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    weights: torch.dtype,
    units: bool,
    computed: torch.dtype,
) -> None:
    monkeypatch.setattr("onegen_el.precision.has_bfloat16", lambda device: units)
    assert computing_type(precision, weights, CPU) == computed


@pytest.mark.parametrize("name", NAMES)
def test_vectors_in_bfloat16_are_near_those_in_float32(name: str) -> None:
    backbone = tiny_backbone(name)
    whole = backbone.embed_entities(SENTENCES)
    half = backbone.embed_entities(SENTENCES, dtype=torch.bfloat16)
    assert half.dtype == np.float32 and not np.array_equal(half, whole)
    assert (half * whole).sum(axis=1).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-5)
    # The weights and what is computed afterwards are as before.
    np.testing.assert_array_equal(backbone.embed_entities(SENTENCES, dtype=torch.float32), whole)
