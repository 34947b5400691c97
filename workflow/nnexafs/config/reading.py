"""Config files: merged in order, validated, mistakes as one line."""

import json
from pathlib import Path

import yaml
from pydantic import ValidationError

from nnexafs.config.base import Model
from nnexafs.config.campaign import CampaignConfig
from nnexafs.errors import UserError
from nnexafs.text import one_line as shown

LARGEST_BYTES = 256 * 2**10


def one_line(error: ValidationError, source: str) -> str:
    """The first problem of a validation as `source: key: what is wrong`."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("Crystal", "Liquid"))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; see config/README.md for the keys there are"
    place, message = shown(place, limit=120), shown(message)
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return f"{source}: {place + ': ' if place else ''}{message}{more}"


def validate(mapping: object, *, source: str = "config") -> CampaignConfig:
    """Turn a mapping into a config; a mistake raises UserError with the key and the remedy."""
    if not isinstance(mapping, dict):
        raise UserError(f"{source}: expected keys and values, got {type(mapping).__name__}")
    try:
        return CampaignConfig.model_validate(mapping)
    except ValidationError as error:
        raise UserError(one_line(error, source)) from error


def merge(base: dict, overlay: dict) -> dict:
    """Overlay on base: mappings merge key by key, everything else is replaced."""
    merged = dict(base)
    for name, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def load(*paths: Path) -> CampaignConfig:
    """Read config files, each on top of the one before, all on top of the default campaign."""
    mapping: dict = CampaignConfig().model_dump(mode="json")
    for path in paths:
        content = read_yaml(Path(path))
        mapping = merge(mapping, content)
    return validate(mapping, source=" + ".join(map(str, paths)) or "default config")


def read_yaml(path: Path) -> dict:
    """The keys and values of one config file, of plain YAML; UserError for anything else."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UserError(f"{path}: more than {LARGEST_BYTES >> 10} KiB; expected a config")
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the config: {shown(error)}") from error
    except UserError:
        raise
    except Exception as error:  # PyYAML raises a lot more than YAMLError for values that it cannot make
        raise UserError(f"{path}: not valid YAML: {shown(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values, got {type(content).__name__}")
    if "__use_yte__" in content:
        raise UserError(f"{path}: __use_yte__ makes Snakemake run the file as a program; write plain YAML")
    return content


def canonical(model: Model) -> str:
    """One string for one meaning: sorted JSON, so that 300 and 300.0 do not differ."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True)


def config_of(path: Path) -> CampaignConfig:
    """The config that a campaign was made with.

    The file is complete; on top of the default campaign, entries that an overlay dropped would come back. Campaigns
    from before there were `theories` and refinements have none.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        none = {"theories": {}, "refinement": {"enabled": False}}
        return validate(none | content if isinstance(content, dict) else content, source=str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot read the config: {' '.join(str(error).split())}") from error
