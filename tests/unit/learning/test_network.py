"""The network's loss against its definition."""

import pytest
import torch

from nnexafs.learning.network import StructureNetwork, squared_error


def network() -> StructureNetwork:
    torch.manual_seed(3)
    made = StructureNetwork(features=4, r_bins=6, angle_bins=5, hidden_sizes=[8])
    made.set_normalisation(torch.randn(50, 4), 3 + torch.rand(50, 6), torch.rand(50, 5))
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
def test_the_angles_weight_is_a_factor():
    made, samples = network(), (torch.randn(9, 4), torch.rand(9, 6), torch.rand(9, 5))
    for relative in (False, True):
        losses = [
            float(made.loss(*samples, angle_weight=weight, relative=relative)) for weight in (0.0, 1.0, 3.0)
        ]
        assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)
