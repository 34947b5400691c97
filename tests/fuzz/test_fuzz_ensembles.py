"""Any manifest and any checkpoint of an ensemble folder give an ensemble that predicts, or one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes.ensembles import manifest_of, sign, write_ensemble
from fuzzing import answer, fuzzed, harmed
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.manifest import FORMAT

K = 0.05 * np.arange(361)
CHI = np.sin(4.6 * K)[None] / (5 + K**2)
HOSTILE = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2,
        10**9,
        10**30,
        1e300,
        "",
        "x",
        "../../x",
        "/etc/passwd",
        "fold0.pt\n",
        [],
        {},
        [[]],
    ),
    *("fold0.safetensors", {"fold0.pt": "0" * 64}, {"fold0.safetensors": "0" * 64}, [1, 1], ["x"]),
    *([float("nan")], {"a": {"b": []}}, [10**9] * 3, "n" * 5000),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble") / "ensemble")


@pytest.fixture(scope="module", params=[1, 2, FORMAT])
def any_format(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble") / "ensemble", request.param)


def loaded(folder: Path) -> Ensemble | str:
    """What loading says; an ensemble must predict."""
    found = answer(lambda: Ensemble.load(folder))
    if isinstance(found, Ensemble):
        predicted = answer(lambda: found.answers(K, CHI))
        if not isinstance(predicted, str):
            assert np.isfinite(predicted.pair_mean).all()
            answer(lambda: found.bands(predicted))
        answer(lambda: found.distance(K, CHI))
    return found


def test_the_sample_is_valid(any_format: Path):
    assert isinstance(loaded(sign(any_format)), Ensemble)


PLACES = [
    *(["format"], ["files"], ["element"], ["edge"], ["grids"], ["grids", "r_angstrom"], ["representation"]),
    *(
        ["representation", "k_step_per_angstrom"],
        ["representation", "k_range_per_angstrom"],
        ["architecture"],
    ),
    *(
        ["architecture", "features"],
        ["architecture", "r_bins"],
        ["architecture", "hidden_sizes"],
        ["versions"],
    ),
    *(["architecture", "smoothing_bins"], ["training_domain"], ["training_domain", "neighbour_distance"]),
    *(["training_domain", "N1"], ["grids", "chi_k_per_angstrom"], ["config"], ["unknown"]),
    *(["architecture", "window_inputs"], ["architecture", "scalar_outputs"]),
    *(["representation", "k_starts_per_angstrom"], ["representation", "k_ends_per_angstrom"]),
    *(["augmentation"], ["augmentation", "e0_shift_ev"], ["augmentation", "s02"], ["augmentation", "shares"]),
    *(["calibration"], ["calibration", "pair"], ["calibration", "angle", "bins"], ["calibration", "scalars"]),
    *(["calibration", "pair", "scale", "floor"], ["calibration", "pair", "pointwise", "factors"]),
    *(["calibration", "scalars", "e0_ev"], ["calibration", "scalars", "R1_angstrom", "factors", "levels"]),
]


@fuzzed(150)
@given(place=st.sampled_from(PLACES), value=st.sampled_from(HOSTILE))
def test_any_value_in_the_manifest(folder: Path, place: list[str], value: object):
    manifest = manifest_of(folder)
    part = manifest
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    loaded(folder)


@fuzzed(50)
@given(data=st.data())
def test_harmed_manifests(folder: Path, data: st.DataObject):
    content = data.draw(harmed([json.dumps(manifest_of(folder), indent=1).encode()]))
    (folder / "manifest.json").write_bytes(content)
    loaded(folder)


@fuzzed(60)
@given(data=st.data(), place=st.sampled_from([1, 2]))
def test_harmed_checkpoints_with_the_right_checksum(any_format: Path, data: st.DataObject, place: int):
    """A network, and what the networks were trained on."""
    path = sorted(any_format.glob("[!m]*"))[place]
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(harmed([whole])))
        loaded(sign(any_format))
    finally:
        path.write_bytes(whole)


def test_a_deeply_nested_manifest(folder: Path):
    (folder / "manifest.json").write_text('{"a": ' + "[" * 100_000)
    assert "nested too deeply" in loaded(folder)
