"""The files made from the config models: the commented default, its JSON schema, the table of keys."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nnexafs.config import CampaignConfig
from nnexafs.files import write_text

HEADER = """\
# The default campaign: neural networks for nickel, from simulation to a measured foil.
# Made from workflow/nnexafs/config/ by `nnexafs config write`; the keys are explained in README.md here.
# Keep your own changes in an overlay: snakemake --configfile config/campaigns/mine.yaml
# yaml-language-server: $schema=schema.json
"""
TABLE_START = "<!-- keys: made by `nnexafs config write`, do not edit below -->"


def flow(value: object) -> str:
    """A leaf value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def yaml_lines(model: BaseModel, indent: int = 0) -> Iterator[str]:
    """The model's values as YAML lines with each key's description as a comment.

    Entries of the default campaign that the model lacks are null, or they would come back when the lines are read.
    """
    pad = "  " * indent
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if field.description:
            yield f"{pad}# {field.description}"
        if isinstance(value, BaseModel):
            yield f"{pad}{name}:"
            yield from yaml_lines(value, indent + 1)
        elif isinstance(value, dict) and any(map(is_model, (value | default_of(field)).values())):
            yield f"{pad}{name}:"
            for entry, content in value.items():
                yield f"{pad}  {flow(entry)}:"
                yield from yaml_lines(content, indent + 2)
            yield from (f"{pad}  {flow(entry)}: null" for entry in default_of(field) if entry not in value)
        else:
            yield f"{pad}{name}: {flow(model.model_dump(mode='json')[name])}"
        if indent == 0:
            yield ""


def default_of(field: FieldInfo) -> dict:
    """The default of a field that is a mapping; empty for others."""
    default = field.get_default(call_default_factory=True)
    return default if isinstance(default, dict) else {}


def is_model(content: object) -> bool:
    """Whether a mapping's entry is a model of its own."""
    return isinstance(content, BaseModel)


def default_yaml(config: CampaignConfig | None = None) -> str:
    """A config as a commented file; without one, the default campaign."""
    return HEADER + "\n" + "\n".join(yaml_lines(config or CampaignConfig())).rstrip() + "\n"


def json_schema() -> str:
    """The JSON schema that editors use to check and complete a config."""
    return json.dumps(CampaignConfig.model_json_schema(), indent=2) + "\n"


def models_within(annotation: object) -> list[type[BaseModel]]:
    """The config models that a field's type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_within(part)]


def type_name(annotation: object) -> str:
    """A field's type in words a user reads."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin in (list, tuple):
        inner = ", ".join(dict.fromkeys(type_name(part) for part in parts if part is not Ellipsis))
        return f"list of {len(parts)} {inner}" if origin is tuple else f"list of {inner}"
    if origin is dict:
        return "mapping"
    if hasattr(annotation, "__metadata__"):
        return type_name(parts[0])
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(dict.fromkeys(type_name(part) for part in parts))
    if parts:
        return " or ".join(f"`{part}`" for part in parts)
    return {"float": "number", "int": "integer", "str": "text", "bool": "true/false"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "")
    )


def table_rows(
    model: type[BaseModel],
    default: BaseModel | None,
    prefix: str = "",
    listed: dict[type[BaseModel], str] | None = None,
) -> Iterator[str]:
    """One table row for each key, sections in the order of the file; `default` holds the values shown.

    A section without defaults of its own refers to the first of its kind: `listed` holds where that is.
    """
    listed = {} if listed is None else listed
    for name, field in model.model_fields.items():
        inner, place = models_within(field.annotation), f"{prefix}{name}"
        value = getattr(default, name) if default else field.get_default(call_default_factory=True)
        if not inner:
            shown = f"`{flow(leaf(value))}`"
            yield f"| `{place}` | {type_name(field.annotation)} | {shown} | {field.description or ''} |"
            continue
        known = inner[0] in listed and not isinstance(value, inner[0])
        more = f"; keys as in `{listed[inner[0]]}`" if known else ""
        yield f"| **`{place}`** | | {'`null`' if value is None else ''} | **{field.description}**{more} |"
        for part in () if known else inner:
            listed.setdefault(part, place)
            same = value if isinstance(value, part) else None
            yield from table_rows(part, same, f"{place}.{entry_label(field, part, inner)}", listed)


def entry_label(field: FieldInfo, part: type[BaseModel], alternatives: list[type[BaseModel]]) -> str:
    """How the table names the entries of a mapping whose keys are the user's choice."""
    if get_origin(field.annotation) is not dict:
        return ""
    return f"<{part.__name__}>." if len(alternatives) > 1 else "<name>."


def leaf(value: object) -> object:
    """A default as YAML can write it."""
    return list(value) if isinstance(value, tuple) else value


def keys_table() -> str:
    """The keys as a Markdown table: key, type, default, meaning."""
    head = "| key | type | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(table_rows(CampaignConfig, CampaignConfig())) + "\n"


def files(folder: Path) -> dict[Path, str]:
    """The generated files of the config folder with the content they should have."""
    readme = folder / "README.md"
    prose = readme.read_text(encoding="utf-8").split(TABLE_START)[0] if readme.exists() else ""
    return {
        folder / "config.yaml": default_yaml(),
        folder / "schema.json": json_schema(),
        readme: f"{prose.rstrip()}\n\n{TABLE_START}\n<!-- --8<-- [start:keys] -->\n\n{keys_table()}",
    }


def write(folder: Path) -> list[Path]:
    """Write the generated files; returns their paths."""
    contents = files(folder)
    for path, text in contents.items():
        write_text(path, text)
    return list(contents)
