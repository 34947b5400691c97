"""Any YAML, and any structure, as a config gives a campaign or one line; what it names stays in its folder."""

import json
import re
from pathlib import Path

import pytest
import yaml
from checkout import CAMPAIGNS
from fuzzing import SEEDS, answer, fuzzed, harmed
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.config import CampaignConfig, load, state_points, validate
from nnexafs.config.files import default_yaml

VALID = [path.read_bytes() for path in sorted(CAMPAIGNS.glob("*.yaml"))]
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
KEYS = sorted(set(re.findall(r'"(\w+)": ', json.dumps(CampaignConfig().model_dump(mode="json")))))
HOSTILE = (
    *(
        "../up",
        "/etc/x",
        "a b",
        "a\nb",
        "-rf",
        "$(id)",
        "`id`",
        "a;b",
        "a'b",
        'a"b',
        "a|b",
        "n\u0456ckel",
        "..",
        "",
    ),
    *("\u200b", "a{b}", "*", "~", "\x1b[31m", "x" * 300, "__use_yte__", "ni_foil", "fcc", "good-name_1.2"),
    *("123", "1e5", "null", "yes", "0x1f", "2024-01-01", "1_0", "a#b", "a: b", "1.", "a..b", "_a"),
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(HOSTILE)),
    st.sampled_from([1e300, -1, 0, 10**12, 1e-300, 2**70]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(KEYS), st.sampled_from(HOSTILE), st.integers()), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


def check(config: CampaignConfig) -> None:
    """Names are safe, ids of runs too, and what is written reads back."""
    names = [config.campaign, *config.potentials, *config.measurements, *config.series, *config.studies]
    names += [config.tracking.experiment or "none", *state_points.of_all(config)]
    assert all(SAFE.fullmatch(name) and ".." not in name for name in names)
    assert validate(yaml.safe_load(default_yaml(config))) == config


def outcome(call: object) -> CampaignConfig | str:
    found = answer(call)
    if isinstance(found, CampaignConfig):
        assert found.campaign
        answer(lambda: check(found))
    return found


def loaded(path: Path, content: bytes) -> CampaignConfig | str:
    path.write_bytes(content)
    return outcome(lambda: load(path))


@fuzzed(80)
@given(content=harmed(VALID))
def test_harmed_files(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    loaded(tmp_path_factory.getbasetemp() / "harmed.yaml", content)


@fuzzed(300)
@given(
    tree=st.one_of(
        TREES,
        st.dictionaries(st.sampled_from(list(CampaignConfig.model_fields)), TREES, min_size=1, max_size=3),
    )
)
def test_any_structure(tree: object):
    outcome(lambda: validate(tree))


@fuzzed(200)
@given(
    section=st.sampled_from(["campaign", "measurements", "series", "studies", "potentials", "experiment"]),
    name=st.one_of(st.text(max_size=12), st.sampled_from(HOSTILE)),
)
def test_any_name(section: str, name: str):
    outcome(lambda: validate(with_name(section, name)))


def with_name(section: str, name: str) -> dict:
    """A config, valid but for a name in one of the places that reach a path or a shell."""
    entry = {
        "measurements": {"files": ["x.dat"]},
        "series": {"phases": {"fcc": {}}},
        "studies": {"folds": 1},
        "potentials": {"style": "sutton-chen"},
    }
    if section in entry:
        return {section: {name: entry[section]}}
    return {"campaign": name} if section == "campaign" else {"tracking": {"experiment": name}}


@fuzzed(60)
@given(lines=st.text(alphabet="ab:-&*!?[]{},|>'\"#%@`\n \t0.~<=", max_size=60))
def test_any_yaml(tmp_path_factory: pytest.TempPathFactory, lines: str):
    loaded(tmp_path_factory.getbasetemp() / "any.yaml", lines.encode())


@pytest.mark.parametrize("seed", sorted(SEEDS.glob("config-*")), ids=lambda path: path.name)
def test_seeds(tmp_path: Path, seed: Path):
    assert isinstance(loaded(tmp_path / "seed.yaml", seed.read_bytes()), str)


def test_a_config_that_is_taken_can_be_written_and_read(tmp_path: Path):
    for path in CAMPAIGNS.glob("*.yaml"):
        config = load(path)
        assert loaded(tmp_path / "again.yaml", default_yaml(config).encode()) == config


def test_names_that_yaml_takes_for_other_things_keep_their_meaning():
    for name in ("123", "1e5", "null", "yes", "0x1f", "2024-01-01", "good-name_1.2"):
        assert list(outcome(lambda name=name: validate(with_name("measurements", name))).measurements) == [
            name
        ]


def test_text_of_several_lines_keeps_its_meaning():
    series = {"heating": {"description": "two\nlines: 'quoted' # and more", "phases": {"fcc": {}}}}
    assert isinstance(outcome(lambda: validate({"series": series})), CampaignConfig)
