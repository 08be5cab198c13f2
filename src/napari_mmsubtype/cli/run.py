"""``napari-mmsubtype run``: replay a request kept in a recipe or in a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_mmsubtype.cli.analyze import analyze_and_print
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError


def run_command(  # numpydoc ignore=PR01
    recipe: Annotated[
        str, typer.Argument(help="Recipe (YAML or JSON), or the store of a result.")
    ],
    *,
    device: Annotated[
        str | None, typer.Option(help="Run on another device than the recipe says.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Put the store into another folder.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.")
    ] = False,
) -> None:
    """Replay the request of an earlier analysis."""
    request = read_recipe(Path(recipe))
    if device is not None:
        request = replace(request, device=device)
    if out is not None:
        request = replace(request, out=str(Path(out).absolute()))
    analyze_and_print(request, as_json=as_json)


def read_recipe(path: Path) -> AnalyzeRecipe:
    """Read a request from a recipe file or from a store.

    Parameters
    ----------
    path : Path
        A YAML or JSON file with the key ``analyze``, or a ``*.mmsubtype.zarr`` folder.

    Returns
    -------
    AnalyzeRecipe
        The request; its relative paths mean the current folder.

    Raises
    ------
    ConfigurationError
        If the file is missing, is no YAML, or holds another thing than a request.
    StoreError
        If a folder is no result store.
    """
    if path.is_dir():
        from napari_mmsubtype.results.store import open_result

        return open_result(path).recipe
    return _from_body(_parse(path), path)


def _parse(path: Path) -> Any:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "it is not text"
        msg = (
            f"cannot read recipe {str(path)!r}: {reason}; give a YAML file, or the "
            "folder of a result (*.mmsubtype.zarr)"
        )
        raise ConfigurationError(msg) from err
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as err:
        where = " ".join(str(err).split())
        msg = f"recipe {str(path)!r} is not valid YAML: {where}"
        raise ConfigurationError(msg) from err


def _from_body(body: Any, path: Path) -> AnalyzeRecipe:
    try:
        return AnalyzeRecipe.from_dict(body)
    except ConfigurationError as err:
        msg = f"recipe {str(path)!r}: {err}"
        raise ConfigurationError(msg) from err
    except TypeError as err:
        msg = (
            f"recipe {str(path)!r}: a field holds the wrong kind of value ({err}); "
            "names are text, mpp is a number, stride_px and batch_size are whole"
        )
        raise ConfigurationError(msg) from err
