"""Bands and errors from out-of-fold residuals: coverage where the errors are known, and inputs that break things."""

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.learning.bands import SCALARS, CurveBands
from nnexafs.learning.calibration import LEVELS, THEORY_E0_EV, Calibration
from nnexafs.learning.coverage import coverage, scalar_coverage
from nnexafs.learning.groups import Groups, floor_of

R = np.arange(1.6, 5.2, 0.03)
ANGLE = np.arange(3.0, 180.0, 6.0)


@dataclass
class Samples:
    """Curves of two shells and two angles, and predictions whose errors are known."""

    truth: dict[str, np.ndarray]
    predicted: dict[str, np.ndarray]
    groups: np.ndarray
    phases: np.ndarray

    @property
    def about(self) -> dict[str, np.ndarray]:
        return {"groups": self.groups, "phases": self.phases}

    def part(self, chosen: np.ndarray) -> "Samples":
        curves = [{name: one[chosen] for name, one in each.items()} for each in (self.truth, self.predicted)]
        return Samples(*curves, self.groups[chosen], self.phases[chosen])

    def fit(self, **more: Any) -> Calibration:
        return Calibration.fit(R, ANGLE, predicted=self.predicted, truth=self.truth, **self.about, **more)

    def covered(self, calibration: Calibration) -> dict:
        bands = calibration.bands(R, ANGLE, self.predicted)
        return coverage(R, self.truth, self.predicted, bands, seed=0, **self.about)


def gaussians(x: np.ndarray, place: np.ndarray, width: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Sums (S, X) of peaks, each property (S, P)."""
    peaks = np.exp(-0.5 * ((x - place[..., None]) / width[..., None]) ** 2)
    return (peaks * (area / width)[..., None]).sum(axis=1) / np.sqrt(2 * np.pi)


def drawn(groups: int, each: int, *, seed: int, errors: dict[str, float] | None = None) -> Samples:
    """Shells at 2.5 and 4 angstrom; a trajectory's samples share most of their errors in place, width and height.

    `errors`: by phase, how many times as large as usual; phases take turns.
    """
    errors = errors or {"fcc": 1.0, "bcc": 1.0}
    random = np.random.default_rng(seed)
    own = np.repeat(np.arange(groups), each)
    phases = np.array(list(errors))[np.arange(groups) % len(errors)]
    size = np.array([errors[phase] for phase in phases])[own, None]

    def noise(scale: float) -> np.ndarray:
        common, private = random.normal(size=(groups, 2))[own], random.normal(size=(len(own), 2))
        return size * scale * (0.8 * common + 0.6 * private)

    width = 0.05 + 0.15 * random.random(groups)[own, None] * np.ones(2)
    place, area = np.array([2.5, 4.0]) + 0.05 * random.normal(size=(groups, 1))[own], np.array([12.0, 18.0])
    degrees = np.array([60.0, 120.0]) + 0 * place
    truth = {
        "pair": gaussians(R, place, width, area + 0 * width),
        "angle": gaussians(ANGLE, degrees, 60 * width + 2, 30 + 0 * width),
    }
    predicted = {
        "pair": gaussians(R, place + noise(0.012), width * np.exp(noise(0.05)), area * np.exp(noise(0.03))),
        "angle": gaussians(ANGLE, degrees + noise(1.0), 60 * width * np.exp(noise(0.1)) + 2, 30 + noise(2.0)),
    }
    for name, bins in (("pair", R), ("angle", ANGLE)):
        predicted[name] = predicted[name] + size * 0.01 * random.normal(size=(len(own), len(bins)))
    return Samples(truth, predicted, own, phases[own])


@pytest.fixture(scope="module")
def samples() -> Samples:
    return drawn(80, 6, seed=0)


@pytest.fixture(scope="module")
def calibration(samples: Samples) -> Calibration:
    return samples.fit()


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_bands_cover_new_trajectories(calibration: Calibration, level: float) -> None:
    found = drawn(300, 3, seed=1).covered(calibration)
    allowed = {0.68: 0.07, 0.95: 0.03}[level]
    assert set(found) == {"pair", "angle", "R1_angstrom", "N1", "sigma2_1_angstrom2"}
    for name, one in found.items():
        assert abs(one.at(level) - level) < allowed, name
        for phase in ("fcc", "bcc"):
            assert abs(one.at(level, phase=phase) - level) < 1.5 * allowed, (name, phase)
    for name in ("pair", "angle"):
        assert abs(found[name].at(level, simultaneous=True) - level) < 1.3 * allowed, name


def test_errors_follow_the_prediction(calibration: Calibration) -> None:
    """Narrow peaks are wrong by more, near their flanks, and the band says so; empty bins have next to none."""
    area, place = np.array([[12.0, 18.0]] * 2), np.array([[2.5, 4.0]] * 2)
    cold_and_hot = gaussians(R, place, np.array([[0.06, 0.06], [0.18, 0.18]]), area)
    angles = np.zeros((2, len(ANGLE))) + 0.1
    bands = calibration.bands(R, ANGLE, {"pair": cold_and_hot, "angle": angles})
    assert bands.pair_95[0].max() > 3 * bands.pair_95[1].max()
    assert bands.pair_95[0, np.abs(R - 3.25).argmin()] < 0.1 * bands.pair_95[0].max()
    assert (bands.pair_95 > bands.pair_68).all() and (bands.pair_simultaneous_68 > bands.pair_68).all()
    errors = bands.shell_errors(0.68)
    assert errors[1, 0] > errors[0, 0] and (errors > 0).all()  # R1 of a broad shell


def test_scale_finds_the_error_that_was_made() -> None:
    """Only places are wrong, by 0.02 angstrom: a is 0.02, the rest small."""
    right = drawn(200, 1, seed=2)
    shift = 0.02 * np.random.default_rng(0).normal(size=(200, 1))
    right.predicted["pair"] = np.array(
        [np.interp(R - own[0], R, curve) for own, curve in zip(shift, right.truth["pair"], strict=True)]
    )
    scale = right.fit().pair.scale
    assert scale.slope == pytest.approx(0.02, rel=0.2)
    assert scale.height < 0.1 and scale.smoothed < 0.1


def test_each_trajectory_counts_once(samples: Samples, calibration: Calibration) -> None:
    """Fifty more copies of a trajectory that is predicted badly change nothing."""
    errors = np.abs(samples.predicted["pair"] - samples.truth["pair"]).max(axis=1)
    own = samples.groups == samples.groups[errors.argmax()]
    many = samples.part(np.concatenate([np.arange(len(own)), np.tile(np.flatnonzero(own), 50)]))
    again = many.fit()
    for name in ("pair", "angle"):
        for kind in ("pointwise", "simultaneous"):
            before, after = (getattr(getattr(one, name), kind).factors for one in (calibration, again))
            assert np.allclose(before, after, rtol=1e-6)
    assert again.scalars["N1"].factors.at(0.68) == pytest.approx(calibration.scalars["N1"].factors.at(0.68))


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_hard_phase_is_not_drowned(level: float) -> None:
    """One in six trajectories has three times the errors, which its prediction does not show."""
    errors = {"fcc": 1.0, "hcp": 1.0, "bcc": 1.0, "a15": 1.0, "sc": 1.0, "liquid": 3.0}
    found = drawn(180, 3, seed=3, errors=errors).covered(drawn(90, 5, seed=4, errors=errors).fit())
    wanted = {0.68: 0.5, 0.95: 0.82}[level]
    assert all(one.at(level, phase="liquid") > wanted for one in found.values())


def test_phase_of_one_trajectory_does_not_decide(samples: Samples, calibration: Calibration) -> None:
    """It has no floor of its own, and its weight is bounded."""
    phases = samples.phases.copy()
    phases[samples.groups == 3] = "alone"
    one = Samples(samples.truth, samples.predicted, samples.groups, phases)
    worse = {name: curves.copy() for name, curves in samples.predicted.items()}
    worse["pair"][samples.groups == 3] *= 1.5
    far = Samples(samples.truth, worse, samples.groups, phases)
    width = [np.median(each.fit().bands(R, ANGLE, samples.predicted).pair_68) for each in (one, far)]
    assert width[0] == pytest.approx(
        np.median(calibration.bands(R, ANGLE, samples.predicted).pair_68), rel=0.15
    )
    assert width[1] < 1.5 * width[0]


@pytest.mark.parametrize("count", [57, 200])
@pytest.mark.parametrize("level", [0.68, 0.9, 0.95])
def test_factor_is_the_one_of_split_conformal_prediction(count: int, level: float) -> None:
    """With groups wholly below or above it the ceil((n + 1) p)-th smallest score, as crepes and text books have it."""
    scores = np.random.default_rng(count).exponential(size=count)
    found = Groups.of(np.arange(count), np.full(count, "fcc")).conformal_quantiles(scores[:, None], [level])
    place = int(np.ceil((count + 1) * level - 1e-9))
    # the variance of the groups' shares is known to 1 / count
    assert np.sort(scores)[place - 2] <= found[0] <= np.sort(scores)[place - 1]


def test_groups_that_hold_many_independent_scores_ask_for_less() -> None:
    """Where each group's scores lie on both sides of the quantile, an unseen one weighs less than a whole group."""
    random = np.random.default_rng(0)
    groups = Groups.of(np.arange(30), np.full(30, "fcc"))
    scores = random.exponential(size=(30, 400))
    alone = np.repeat(random.exponential(size=(30, 1)), 400, axis=1)
    plain = [np.quantile(one, 0.95) for one in (scores, alone)]
    found = [groups.conformal_quantiles(one, [0.95])[0] for one in (scores, alone)]
    assert found[0] == pytest.approx(plain[0], rel=0.03)
    assert found[1] == alone.max() > 1.05 * plain[1]


def test_samples_share_their_group_as_told() -> None:
    """A trajectory that counts as much as its many variants together."""
    names, phases = np.repeat([0, 1], 11), np.full(22, "fcc")
    shares = np.tile([10.0] + 10 * [1.0], 2)
    scores = np.tile([4.0] + 10 * [1.0], 2)
    assert Groups.of(names, phases).mean(scores) == pytest.approx(14 / 11)
    told = Groups.of(names, phases, shares)
    assert told.mean(scores) == pytest.approx(2.5)
    assert told.part(names == 1).mean(scores[names == 1]) == pytest.approx(2.5)


def test_interval_covers_on_average() -> None:
    """Over many small calibrations of correlated groups, a new group is covered as promised."""
    random, level, groups = np.random.default_rng(0), 0.9, 25
    shares = []
    for _ in range(300):
        size = np.exp(0.5 * random.normal(size=groups + 1))
        scores = np.abs(size[:, None] * random.normal(size=(groups + 1, 40)))
        members = Groups.of(np.arange(groups), np.full(groups, "fcc"))
        shares.append((scores[-1] <= members.conformal_quantiles(scores[:-1], [level])[0]).mean())
    assert level - 0.01 < np.mean(shares) < level + 0.05


def test_few_groups_give_the_worst_of_them() -> None:
    """Three groups cannot promise 95 %; the factor is finite and holds for each of the three."""
    scores = np.random.default_rng(0).exponential(size=(3, 1000)) * np.array([[1.0], [2.0], [3.0]])
    found = Groups.of(np.arange(3), np.array(["fcc", "fcc", "bcc"])).conformal_quantiles(scores, [0.95])
    assert found[0] == pytest.approx(np.quantile(scores[2], 0.95), rel=0.02)


def test_floor_of_a_phase() -> None:
    assert np.allclose(floor_of(np.array([0.68, 0.95])), [0.587, 0.906], atol=1e-3)


@pytest.mark.parametrize("name", ["one group", "one sample", "no errors", "no shells", "empty truth"])
def test_strange_samples_still_give_bands(samples: Samples, name: str) -> None:
    """Finite and above zero, without a warning, and readable as JSON."""
    if name == "one group":
        strange = samples.part(samples.groups == 0)
    elif name == "one sample":
        strange = samples.part(np.arange(len(samples.groups)) == 7)
    elif name == "no errors":
        strange = Samples(samples.truth, samples.truth, samples.groups, samples.phases)
    else:
        flat = samples.truth["pair"] * 0 + (0.0 if name == "empty truth" else 2.0)
        strange = Samples(samples.truth | {"pair": flat}, samples.predicted, samples.groups, samples.phases)
        strange.predicted = samples.predicted | {"pair": flat + 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = strange.fit()
        bands = found.bands(R, ANGLE, strange.predicted)
        for curve in (bands.pair_68, bands.pair_simultaneous_95, bands.angle_68, bands.angle_95):
            assert np.isfinite(curve).all() and (curve > 0).all()
        strange.covered(found)
    assert Calibration.of(json.loads(json.dumps(found.as_json())), place="here", what="it") == found
    assert ("N1" in found.scalars) == (name in ("one group", "no errors"))
    assert np.isnan(bands.error("N1", level=0.68)).all() == ("N1" not in found.scalars)


def test_samples_that_are_not_finite_are_left_out(samples: Samples, calibration: Calibration) -> None:
    predicted = {name: np.concatenate([one, one[:3]]) for name, one in samples.predicted.items()}
    predicted["pair"][-3, 5], predicted["angle"][-2, 0], predicted["pair"][-1] = np.nan, np.inf, np.nan
    truth = {name: np.concatenate([one, one[:3]]) for name, one in samples.truth.items()}
    chosen = np.concatenate([np.arange(len(samples.groups)), np.arange(3)])
    found = Samples(truth, predicted, samples.groups[chosen], samples.phases[chosen]).fit()
    assert found.dropped == 3
    assert found.model_copy(update={"dropped": 0}) == calibration


def test_nothing_finite_is_refused(samples: Samples) -> None:
    empty = samples.part(samples.groups < 2)
    empty.predicted = empty.predicted | {"pair": empty.predicted["pair"] * np.nan}
    with pytest.raises(UserError, match="no sample has finite predictions"):
        empty.fit()


def test_shapes_that_disagree_are_refused(samples: Samples) -> None:
    with pytest.raises(UserError, match=r"angle has shapes .* expected"):
        Calibration.fit(R, ANGLE[:-1], predicted=samples.predicted, truth=samples.truth, **samples.about)


def test_e0_and_s02(samples: Samples) -> None:
    random = np.random.default_rng(0)
    true = random.uniform(-5, 10, len(samples.groups))
    found = true + 0.5 * random.normal(size=len(true))
    calibration = samples.fit(e0_ev=(found, true), s02=(np.full(len(true), 0.85), np.full(len(true), 0.85)))
    assert set(calibration.scalars) == set(SCALARS)
    bands = calibration.bands(R, ANGLE, samples.predicted)
    # the error that was made, and another theory's E0
    assert np.median(bands.error("e0_ev", level=0.68)) == pytest.approx(np.hypot(0.5, THEORY_E0_EV), rel=0.15)
    assert np.median(bands.error("e0_ev", level=0.95)) == pytest.approx(
        1.96 * np.hypot(0.5, THEORY_E0_EV), rel=0.15
    )
    without = samples.fit().bands(R, ANGLE, samples.predicted)
    more = np.sqrt(
        bands.error("R1_angstrom", level=0.68) ** 2 - without.error("R1_angstrom", level=0.68) ** 2
    )
    assert np.allclose(more, 0.9945 * THEORY_E0_EV * 2.5 * K2_PER_EV / (2 * 7.0**2), rtol=0.02)
    assert np.array_equal(bands.error("N1", level=0.68), without.error("N1", level=0.68))
    assert (bands.error("s02", level=0.95) < 1e-6).all()


def test_extra_errors_are_added_in_quadrature(samples: Samples, calibration: Calibration) -> None:
    more = {"pair": np.full(len(R), 2.0)}
    plain = calibration.bands(R, ANGLE, samples.predicted)
    wider = calibration.bands(R, ANGLE, samples.predicted, extra=more, extra_scalars={"N1": np.array(0.3)})
    assert np.allclose(wider.pair_95, np.hypot(plain.pair_95, 1.96 * 2.0), rtol=1e-3)
    ratio = calibration.pair.simultaneous.at(0.68) / calibration.pair.pointwise.at(0.68)
    assert np.allclose(
        wider.pair_simultaneous_68, np.hypot(plain.pair_simultaneous_68, 0.9945 * 2 * ratio), rtol=1e-3
    )
    assert np.array_equal(wider.angle_95, plain.angle_95)
    assert np.allclose(
        wider.error("N1", level=0.95), np.hypot(plain.error("N1", level=0.95), 1.96 * 0.3), rtol=1e-3
    )


def test_scaled_distances(samples: Samples, calibration: Calibration) -> None:
    """As n(r) itself: the band's integral, a number of neighbours, stays."""
    plain = calibration.bands(R, ANGLE, samples.predicted, extra={"pair": np.full(len(R), 1.0)})
    scaled = plain.with_scaled_distances(1.03)
    assert np.allclose(scaled.pair_95 * 1.03, plain.pair_95)
    assert np.array_equal(scaled.angle_95, plain.angle_95)
    assert np.allclose(scaled.shell_errors(0.68), plain.shell_errors(0.68) * [1.03, 1.0, 1.03**2])


def test_mean_of_networks_has_narrower_bands() -> None:
    """Networks that share half of their variance: without the correction the mean's bands cover too much."""
    random, tests = np.random.default_rng(0), drawn(200, 1, seed=5)
    size = 0.05 * tests.truth["pair"] + 0.1
    common, *private = (size * random.normal(size=size.shape) / np.sqrt(2) for _ in range(6))
    members = {
        "pair": np.stack([tests.truth["pair"] + common + one for one in private]),
        "angle": np.stack([tests.predicted["angle"]] * 5),
    }
    one_network = {name: one[0] for name, one in members.items()}
    single = Samples(tests.truth, one_network, **tests.about).fit()
    mean = Samples(tests.truth, {name: one.mean(axis=0) for name, one in members.items()}, **tests.about)
    corrected = single.for_mean(R, ANGLE, members)
    before, after = (mean.covered(one)["pair"].at(0.68) for one in (single, corrected))
    assert before > 0.75
    assert abs(after - 0.68) < 0.03
    ratio = corrected.pair.pointwise.at(0.95) / single.pair.pointwise.at(0.95)
    assert ratio == pytest.approx(np.sqrt(0.5 + 0.5 / 5), rel=0.05)
    assert corrected.scalars["N1"].error(np.ones(1), level=0.68) < single.scalars["N1"].error(
        np.ones(1), level=0.68
    )
    assert corrected.angle == single.angle  # the same answer five times
    assert single.for_mean(R, ANGLE, {name: one[:1] for name, one in members.items()}) == single


def test_difficulty_tells_hard_spectra_from_easy_ones() -> None:
    """Half of the trajectories have three times the errors, and a number that follows it, roughly."""
    errors = {"easy": 1.0, "hard": 3.0}
    known, new = drawn(80, 4, seed=7, errors=errors), drawn(200, 2, seed=8, errors=errors)

    def difficulty(samples: Samples) -> np.ndarray:
        scatter = np.exp(0.1 * np.random.default_rng(0).normal(size=len(samples.phases)))
        return 0.1 * scatter * np.where(samples.phases == "hard", 3.0, 1.0)

    shares, widths = {}, {}
    for given in (None, difficulty):
        asked = {} if given is None else {"difficulty": difficulty(known)}
        calibration = known.fit(**asked)
        bands = calibration.bands(R, ANGLE, new.predicted, difficulty=given and given(new))
        found = coverage(R, new.truth, new.predicted, bands, seed=0, **new.about)
        shares[given] = [found[name].at(0.68, phase=one) for name in ("pair", "N1") for one in errors]
        widths[given] = bands.pair_95.mean()
    assert np.abs(np.array(shares[difficulty]) - 0.68).max() < 0.12
    assert np.abs(np.array(shares[None]) - 0.68).max() > 0.15
    assert widths[difficulty] < widths[None]
    with pytest.raises(UserError, match="made with the difficulty"):
        calibration.bands(R, ANGLE, new.predicted)
    extreme = np.array([np.nan, np.inf, 1e30, 0.0])
    some = {name: one[:4] for name, one in new.predicted.items()}
    assert np.isfinite(calibration.bands(R, ANGLE, some, difficulty=extreme).pair_95).all()
    assert Calibration.of(json.loads(json.dumps(calibration.as_json())), place="", what="it") == calibration


def test_difficulty_that_says_nothing(samples: Samples) -> None:
    same = samples.fit(difficulty=np.ones(len(samples.groups)))
    assert same.pair.difficulty is not None
    assert same.pair.difficulty.power == 0.0
    assert same.pair.pointwise == samples.fit().pair.pointwise
    with pytest.raises(UserError, match="difficulty of no spectrum"):
        samples.fit(difficulty=np.zeros(len(samples.groups)))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("pair", "pointwise", "factors", 0), -1.0, "greater than 0"),
        (("pair", "pointwise", "factors", 3), 1e300, "less than"),
        (("pair", "pointwise", "factors", 3), 1e-5, "smaller than the one before"),
        (("pair", "pointwise", "factors"), [1.0, 2.0], "one factor a level"),
        (("angle", "scale", "floor"), 0.0, "greater than 0"),
        (("angle", "scale", "slope"), float("nan"), "finite"),
        (("angle", "simultaneous", "levels", 0), 0.99, "rising"),
        (("scalars", "N1", "power"), 3, "1 or 2"),
        (("scalars", "N2"), {}, "scalars"),
        (("groups",), 0, "greater than or equal to 1"),
    ],
)
def test_damaged_calibrations_are_refused(
    calibration: Calibration, place: tuple, value: object, message: str
) -> None:
    content = calibration.as_json()
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(UserError, match=message) as raised:
        Calibration.of(content, place="manifest.json", what="a calibration")
    assert "\n" not in str(raised.value)


def test_scalars_of_unknown_names_are_refused(calibration: Calibration) -> None:
    content = calibration.as_json()
    content["scalars"]["N7"] = content["scalars"]["N1"]
    with pytest.raises(UserError, match="got 'N7'"):
        Calibration.of(content, place="manifest.json", what="a calibration")


def test_other_grids_are_refused(samples: Samples, calibration: Calibration) -> None:
    with pytest.raises(UserError, match=r"pair was calibrated on 121 bins of 0\.03"):
        calibration.bands(2 * R, ANGLE, samples.predicted)
    short = samples.predicted | {"angle": samples.predicted["angle"][:, :-1]}
    with pytest.raises(UserError, match="angle was calibrated on 30 bins"):
        calibration.bands(R, ANGLE[:-1], short)


def test_levels_that_were_not_calibrated(calibration: Calibration) -> None:
    assert (
        calibration.pair.pointwise.at(0.68)
        < calibration.pair.pointwise.at(0.75)
        < calibration.pair.pointwise.at(0.8)
    )
    with pytest.raises(ValueError, match="calibrated from"):
        calibration.pair.pointwise.at(0.99)


def test_same_samples_same_bytes(samples: Samples, calibration: Calibration) -> None:
    assert json.dumps(samples.fit().as_json()) == json.dumps(calibration.as_json())


# --- observed coverage ---------------------------------------------------------------------------


def test_scatter_of_coverage_is_that_of_few_trajectories() -> None:
    """Half of the trajectories are covered: 0.5 +- sqrt(0.25 / G), however many samples each has."""
    groups = np.repeat(np.arange(16), 100)
    wrong = (groups % 2).astype(float)
    errors = {0.68: np.full(1600, 0.5), 0.95: np.full(1600, 2.0)}
    phases = np.where(groups < 4, "fcc", "bcc")
    found = scalar_coverage(np.zeros(1600), wrong, errors, groups=groups, phases=phases, seed=1)
    assert (found.at(0.68), found.at(0.95), found.overall.groups) == (0.5, 1.0, 16)
    assert found.overall.pointwise_std[0] == pytest.approx(0.125, rel=0.15)
    assert found.by_phase["fcc"].groups == 4
    assert found.overall.simultaneous == []


def test_coverage_without_values() -> None:
    values = np.array([np.nan, 1.0])
    errors = {0.68: np.ones(2)}
    about = {"groups": np.array(["a", "b"]), "phases": np.array(["fcc", "bcc"]), "seed": 0}
    found = scalar_coverage(values, values, errors, **about)
    assert found.by_phase["fcc"].pointwise == [None]
    assert found.at(0.68) == 1.0
    assert found.overall.pointwise_std == [None]
    assert json.loads(json.dumps(found.as_json()))["by_phase"]["fcc"]["samples"] == 0


def test_simultaneous_counts_every_bin() -> None:
    """A single bin outside, also an empty one, and the curve is not covered; pointwise only occupied bins count."""
    calibration = drawn(30, 1, seed=6)
    truth = {"pair": calibration.truth["pair"][:2], "angle": calibration.truth["angle"][:2]}
    answer = {name: curve.copy() for name, curve in truth.items()}
    answer["pair"][0, 0] = 0.005 * truth["pair"][0].max()
    factors = calibration.fit().pair.pointwise
    one = CurveBands(np.full((2, len(R)), 1e-4), factors, factors)
    bands = calibration.fit().bands(R, ANGLE, answer)
    found = coverage(
        R,
        truth,
        answer,
        type(bands)(one, bands.angle, {}, bands.disorder),
        seed=0,
        **calibration.part(np.arange(2)).about,
    )["pair"]
    assert found.at(0.68) == 1.0
    assert found.at(0.68, simultaneous=True) == 0.5
    assert found.levels == list(LEVELS)
