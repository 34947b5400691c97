"""Config files: merged in order, validated, mistakes as one line."""

import json
from pathlib import Path

import yaml
from pydantic import ValidationError

from nnexafs.config.base import Model
from nnexafs.config.campaign import CampaignConfig
from nnexafs.errors import UserError


def one_line(error: ValidationError, source: str) -> str:
    """The first problem of a validation as `source: key: what is wrong`."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("Crystal", "Liquid"))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; see config/README.md for the keys there are"
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
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot read the config: {error}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise UserError(f"{path}: expected keys and values, got {type(content).__name__}")
        mapping = merge(mapping, content)
    return validate(mapping, source=" + ".join(map(str, paths)) or "default config")


def canonical(model: Model) -> str:
    """One string for one meaning: sorted JSON, so that 300 and 300.0 do not differ."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True)
