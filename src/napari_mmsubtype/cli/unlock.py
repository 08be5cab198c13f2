"""``napari-mmsubtype unlock``: free a store whose process ended on another machine."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer


def unlock_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Do not ask: the process there has surely ended."),
    ] = False,
) -> None:
    """Free a store whose analysis ended on another machine without letting go of it.

    An analysis that still runs on this machine is never cut off.
    """
    from napari_mmsubtype.errors import StoreError
    from napari_mmsubtype.results.schema import SUFFIX
    from napari_mmsubtype.results.store_lock import break_lock, lock_path, read_owner

    path = Path(store).absolute()
    is_held = bool(path.name) and lock_path(path).exists()
    if not is_held and not (path.name.endswith(SUFFIX) and path.is_dir()):
        msg = f"no store at {store!r}; give the path of a *{SUFFIX} folder"
        raise StoreError(msg)
    if not is_held:
        typer.echo("no analysis holds this store: nothing to do")
        return
    owner = read_owner(path)
    if owner is None:
        question = (
            f"the lock {str(lock_path(path))!r} does not say who holds {store!r}. If "
            "an analysis writes to it, the result will be spoilt. Is none running?"
        )
    else:
        question = (
            f"process {owner.pid} on the machine {owner.host!r} has held {store!r} "
            f"since {owner.started}. If it still runs there, the result will be "
            "spoilt. Has it ended?"
        )
    # Of a process of this machine it is known whether it lives.
    is_here = owner is not None and owner.host == platform.node()
    if not is_here and not yes and not _confirmed(question):
        typer.echo("the store was left as it is")
        return
    break_lock(path, owner)
    typer.echo(f"freed: run the same request again to resume {store!r}")


def _confirmed(question: str) -> bool:
    """Ask the user, who may not be there."""
    from napari_mmsubtype.errors import ConfigurationError

    try:
        return typer.confirm(question)
    except typer.Abort as err:
        if isinstance(err.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        msg = (
            "nobody answers the question whether the store may be freed; if no "
            "analysis writes to it, say so with --yes"
        )
        raise ConfigurationError(msg) from err
