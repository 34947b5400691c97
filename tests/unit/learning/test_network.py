"""The network's loss against its definition."""

import pytest
import torch

from nnexafs.config import Learning, Network, Representation
from nnexafs.learning.network import Samples, StructureNetwork, architecture, squared_error

FIXED = Representation(k_starts_per_angstrom=None, k_ends_per_angstrom=None)


def samples(count: int = 50) -> Samples:
    """Four features and the two ends of a window; E0 in eV and S0^2 of very different sizes."""
    ends = 2 * torch.rand(count, 2) - 1
    scalars = torch.stack([15 * torch.rand(count) - 5, 0.7 + 0.3 * torch.rand(count)], dim=1)
    features = torch.cat([100 + 7 * torch.randn(count, 4), ends], dim=1)
    return Samples(features, 3 + torch.rand(count, 6), torch.rand(count, 5), scalars)


def network(*, scalar_outputs: int = 2) -> StructureNetwork:
    torch.manual_seed(3)
    made = StructureNetwork(
        features=6, r_bins=6, angle_bins=5, hidden_sizes=[8], window_inputs=2, scalar_outputs=scalar_outputs
    )
    made.set_normalisation(samples())
    return made


def test_an_answer_that_is_right_costs_nothing_and_the_mean_costs_one():
    target = torch.rand(200, 6)
    mean, scale = target.mean(dim=0), (target - target.mean(dim=0)).square().mean().sqrt()
    right = (target - mean) / scale
    for relative in (False, True):
        assert float(squared_error(right, target, mean, scale, relative=relative)) == pytest.approx(
            0, abs=1e-12
        )
    always_mean = squared_error(torch.zeros_like(target), target, mean, scale, relative=False)
    assert float(always_mean) == pytest.approx(1, rel=1e-5)


def test_the_relative_error_is_each_samples_own():
    target = torch.tensor([[1.0, 2.0, 2.0], [30.0, 60.0, 60.0]])
    output = 1.1 * target
    found = squared_error(output, target, torch.zeros(3), torch.ones(()), relative=True)
    assert float(found) == pytest.approx(0.01, rel=1e-5)
    plain = squared_error(output, target, torch.zeros(3), torch.ones(()), relative=False)
    assert float(plain) == pytest.approx(0.01 * float(target.square().mean()), rel=1e-5)


def test_an_empty_target_does_not_blow_up_the_relative_loss():
    empty = torch.zeros(1, 3)
    found = squared_error(torch.full((1, 3), 0.03), empty, torch.zeros(3), torch.ones(()), relative=True)
    assert float(found) == pytest.approx(1.0)


@torch.no_grad()
@pytest.mark.parametrize("key", ["angle_loss_weight", "scalar_loss_weight"])
def test_the_weights_are_factors(key: str):
    made, drawn = network(), samples(9)
    for relative in (False, True):
        losses = [
            float(made.loss(drawn, Network(**{key: weight}, relative_loss=relative)))
            for weight in (0.0, 1.0, 3.0)
        ]
        assert losses[1] > losses[0]
        assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


@torch.no_grad()
def test_shift_and_amplitude_count_alike_in_the_loss():
    """Each is normalised by its own spread: always the middle costs one, whatever the units."""
    made, drawn = network(), samples(4000)
    made.set_normalisation(drawn)
    for parameter in made.parameters():
        parameter.zero_()
    shift_in_mev = drawn._replace(scalars=drawn.scalars * torch.tensor([1000.0, 1.0]))
    for given in (drawn, shift_in_mev):
        made.set_normalisation(given)
        with_, without = (
            float(made.loss(given, Network(scalar_loss_weight=weight, angle_loss_weight=0)))
            for weight in (1, 0)
        )
        assert with_ - without == pytest.approx(1, rel=1e-2)


@torch.no_grad()
def test_answers_are_in_physical_units():
    """A network of zeros answers with the means of what it was normalised with."""
    made, drawn = network(), samples()
    made.set_normalisation(drawn)
    for parameter in made.parameters():
        parameter.zero_()
    answer = made.predict(samples(3).features)
    for name in ("pair", "angle", "scalars"):
        expected = getattr(drawn, name).mean(dim=0).repeat(3, 1)
        assert torch.allclose(getattr(answer, name), expected, rtol=1e-5), name
    assert network(scalar_outputs=0).predict(drawn.features).scalars.shape == (50, 0)


@torch.no_grad()
def test_the_ends_of_the_window_come_normalised_and_are_seen():
    made, drawn = network(), samples()
    assert made.input_mean.shape == (4,) and float(made.input_mean.mean()) == pytest.approx(100, abs=3)
    spectral = drawn.features[:, :4]
    assert float(made.input_scale) == pytest.approx(7, rel=0.2)
    other = made(torch.cat([spectral, -drawn.features[:, 4:]], dim=1))
    assert not torch.allclose(other.pair, made(drawn.features).pair, rtol=1e-2)
    first = made.trunk[0]
    normalised = torch.cat([(spectral - made.input_mean) / made.input_scale, drawn.features[:, 4:]], dim=1)
    seen = torch.relu(normalised @ first.weight.T + first.bias)
    assert torch.allclose(made.pair_head(seen), made(drawn.features).pair, atol=1e-5)


def test_constant_scalars_do_not_blow_up_the_loss():
    """A campaign whose augmentation varies neither E0 nor S0^2."""
    made, drawn = network(), samples()
    drawn = drawn._replace(scalars=torch.tensor([0.0, 1.0]).repeat(50, 1))
    made.set_normalisation(drawn)
    assert torch.isfinite(made.loss(drawn, Network()))
    assert torch.allclose(made.scalar_mean, torch.tensor([0.0, 1.0]))


def test_architecture_follows_the_settings():
    sizes = {"r_bins": 195, "angle_bins": 90}
    usual = architecture(Learning(), **sizes)
    assert (usual["features"], usual["window_inputs"], usual["scalar_outputs"]) == (271 + 2, 2, 2)
    plain = Learning(representation=FIXED, network=Network(scalar_loss_weight=0))
    early = architecture(plain, **sizes)
    assert (early["features"], early["window_inputs"], early["scalar_outputs"]) == (221, 0, 0)
    state = StructureNetwork(**early).state_dict()
    assert not [name for name in state if name.startswith("scalar")]  # as those of earlier versions
    assert {*StructureNetwork(**usual).state_dict()} - {*state} == {
        "scalar_head.weight", "scalar_head.bias", "scalar_mean", "scalar_scale",
    }  # fmt: skip
