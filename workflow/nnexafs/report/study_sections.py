"""Words and tables about studies, a block for each question."""

import xarray as xr

from nnexafs.dataset.metrics import Errors
from nnexafs.report import study_figures
from nnexafs.report.studies import (
    OWN,
    Trained,
    choice_of_validation,
    difference,
    left_out_text,
    same_kind,
)
from nnexafs.report.style import Rows, known_phases, number, svg

TITLES = {
    "representation": "What the network sees",
    "architecture": "How large the network is",
    "split": "What the network has never seen",
}
INTRODUCTIONS = {
    "representation": ("The same dataset, folds and seeds, with another representation of the spectrum."),
    "architecture": "The same dataset, folds and seeds, with another network or optimisation.",
    "split": (
        "The campaign's own test holds out whole trajectories, but phases, temperatures and lattices like theirs are "
        "in the training set: it measures interpolation. A measured spectrum may lie outside. Here whole phases or "
        "ranges of temperature are left out of the training and form the test set; all else is as in the campaign."
    ),
}


def contents(studies: list[Trained], base: Trained, evaluation: xr.Dataset) -> list[dict[str, object]]:
    """A block for each question that has studies: title, words, figure, caption, table, note."""
    blocks = []
    for question, title in TITLES.items():
        asked = [one for one in studies if one.question == question]
        if asked:
            block = (
                harder_splits(asked, base, evaluation) if question == "split" else other_settings(asked, base)
            )
            blocks.append({"title": title, "introduction": INTRODUCTIONS[question], **block})
    return blocks


# --- representation, architecture ----------------------------------------------------------------


def other_settings(asked: list[Trained], base: Trained) -> dict[str, object]:
    """Figure and table of trainings compared on the same folds."""
    chosen = choice_of_validation(asked, base)
    return {
        "figure": svg(study_figures.trainings(asked, base)),
        "caption": (
            "Relative error of n(r). Left: validation (dots: mean and standard deviation over the folds; small: each "
            "fold) and test (diamonds: mean answer of the folds' networks on the held-out trajectories). Right: "
            "validation error minus this campaign's on the same folds, mean with its standard error. ★: what "
            "validation alone would choose."
        ),
        "rows": training_rows(asked, base, chosen),
        "kind": "wide",
        "note": choice_note(asked, base, chosen),
    }


def training_rows(asked: list[Trained], base: Trained, chosen: str | None) -> Rows:
    """One row a training: size, validation, difference on the same folds, test, time."""
    rows: Rows = [
        (
            "training", "inputs", "weights (10⁶)", "folds", "validation n(r)", "validation angles", "same folds, n(r)",
            "test n(r)", "test N₁", "s a fold",
        )
    ]  # fmt: skip
    for one in (base, *asked):
        metrics = one.metrics
        folds = len(metrics.folds)
        rows.append(
            (
                f"{one.name} ★" if one.name == chosen else one.name,
                number(metrics.features, 0),
                number(metrics.weights and metrics.weights / 1e6, 2),
                str(folds),
                spread(metrics.validation.pair_relative_l2.mean, metrics.validation.pair_relative_l2.std),
                spread(metrics.validation.angle_relative_l2.mean, metrics.validation.angle_relative_l2.std),
                "–" if one is base else against(one, base),
                number(metrics.test.pair_relative_l2, 3),
                number(metrics.test.N1_error_rms, 2),
                number(metrics.seconds / folds if metrics.seconds and folds else None, 0),
            )
        )
    return rows


def spread(mean: float | None, std: float | None) -> str:
    """`mean ± std`, or what there is of it."""
    return number(mean, 3) + (f" ± {std:.3f}" if mean is not None and std is not None else "")


def against(one: Trained, base: Trained) -> str:
    """Difference from the campaign's own validation error on the same folds, with its standard error."""
    found = difference(one, base)
    if not len(found.values):
        return "–"
    return f"{found.mean:+.3f}" + (f" ± {found.error:.3f}" if found.error is not None else "")


def choice_note(asked: list[Trained], base: Trained, chosen: str | None) -> str:
    """What each study changes, which one validation would choose, and its test error."""
    lines = [f"{one.name}: {one.description}." for one in asked if one.description]
    if chosen is not None:
        lines.append(
            f"Validation alone would choose {chosen}{hedge(asked, base, chosen)}"
            f"{test_of_choice([base, *asked], chosen)}. Test errors are shown for comparison; the choice uses "
            "validation errors only."
        )
    fewer = [one.name for one in asked if len(one.metrics.folds) < len(base.metrics.folds)]
    if fewer:
        lines.append(
            f"Test errors are of as many networks as folds were trained: {len(base.metrics.folds)} in this campaign, "
            f"fewer in {', '.join(fewer)}, which makes them less accurate. Their validation errors are compared with "
            "this campaign's on the same folds only."
        )
    return " ".join(lines)


def test_of_choice(shown: list[Trained], chosen: str) -> str:
    """Whether the chosen training is also the best on the test set, among those of as many folds."""
    (folds,) = (len(one.metrics.folds) for one in shown if one.name == chosen)
    errors = {one.name: one.metrics.test.pair_relative_l2 for one in shown if len(one.metrics.folds) == folds}
    known = {name: error for name, error in errors.items() if error is not None}
    if chosen not in known or len(known) < 2:
        return ""
    best = min(known, key=lambda name: known[name])
    if best == chosen:
        return f", which of those on {folds} folds is also the best on the test set"
    others = f"of those on {folds} folds the best on the test set is {best} ({known[best]:.3f})"
    return f" (test {known[chosen]:.3f}); {others}"


def hedge(asked: list[Trained], base: Trained, chosen: str) -> str:
    """A remark where the chosen training is better by no more than the error of the difference."""
    for one in asked:
        found = difference(one, base)
        if one.name == chosen and (found.error is None or abs(found.mean) <= found.error):
            return " (better by no more than the error of the difference)"
    return ""


# --- harder splits -------------------------------------------------------------------------------

SPLIT_HEAD = (
    "test trajectories", "", "number", "network, n(r)", "such trajectories, own split", "nearest spectrum",
    "mean of training", "R₁ (Å)", "N₁", "σ²₁ (Å²)",
)  # fmt: skip


def harder_splits(asked: list[Trained], base: Trained, evaluation: xr.Dataset) -> dict[str, object]:
    """Figure and table of the error on what was left out of the training."""
    return {
        "figure": svg(study_figures.splits(asked, base, evaluation)),
        "caption": (
            "Relative error of n(r) on test trajectories, by what was left out of the training set. Black line: this "
            "campaign's error on such trajectories, with others of that kind in its training set; the part of the bar "
            "beyond the line is the cost of leaving them out. Nearest: n(r) of the most similar training spectrum."
        ),
        "rows": split_rows(asked, base, evaluation),
        "kind": "wide two",
        "note": " ".join(filter(None, (split_note(one, evaluation) for one in asked))),
    }


def split_rows(asked: list[Trained], base: Trained, evaluation: xr.Dataset) -> Rows:
    """One row a split, and one a phase where a split leaves out several."""
    rows: Rows = [SPLIT_HEAD, split_row("of any kind", OWN, base, None, "–")]
    for one in asked:
        text, own_error = "", None
        if one.leave_out is not None:
            text, own_error = left_out_text(one.leave_out), same_kind(evaluation, one.leave_out)[0]
        rows.append(split_row(text, one.name, one, None, number(own_error, 3)))
        phases = list(known_phases(one.metrics.test.by_phase))
        for phase in phases if len(phases) > 1 else ():
            rows.append(split_row("", f"of them {phase}", one, phase, own_of_phase(one, phase, evaluation)))
    return rows


def own_of_phase(one: Trained, phase: str, evaluation: xr.Dataset) -> str:
    """The campaign's own error on the left-out trajectories of one phase."""
    if one.leave_out is None:
        return "–"
    return number(same_kind(evaluation, one.leave_out.model_copy(update={"phases": [phase]}))[0], 3)


def split_row(text: str, name: str, one: Trained, phase: str | None, own_error: str) -> tuple[str, ...]:
    """Errors of one study, over all its test trajectories or those of one phase."""
    metrics = one.metrics
    test, nearest, mean = (
        part.by_phase.get(phase, Errors()) if phase else part
        for part in (metrics.test, metrics.baselines.nearest, metrics.baselines.mean)
    )
    return (
        text,
        name,
        number(test.count, 0),
        number(test.pair_relative_l2, 3),
        own_error,
        number(nearest.pair_relative_l2, 3),
        number(mean.pair_relative_l2, 3),
        number(test.R1_error_angstrom_rms, 4),
        number(test.N1_error_rms, 2),
        number(test.sigma2_1_error_angstrom2_rms, 5),
    )


def split_note(one: Trained, evaluation: xr.Dataset) -> str:
    """How much larger the error is on what was left out, and whether the nearest training spectrum does better."""
    error, nearest = one.metrics.test.pair_relative_l2, one.metrics.baselines.nearest.pair_relative_l2
    if error is None or one.leave_out is None:
        return ""
    text = f"{left_out_text(one.leave_out)}: {error:.3f}"
    own_error, count = same_kind(evaluation, one.leave_out)
    if own_error:
        of = "one such trajectory" if count == 1 else f"{count} such trajectories"
        text += f", {error / own_error:.1f} times the campaign's own error on {of}"
    if nearest is not None:
        text += f"; the nearest spectrum {'does better,' if nearest < error else 'gives'} {nearest:.3f}"
    return f"{text[:1].upper()}{text[1:]}."
