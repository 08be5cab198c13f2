"""``napari-mmsubtype unlock``: free a store whose process ended on another machine."""

from __future__ import annotations

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
    from napari_mmsubtype.results.store_lock import break_lock, lock_path, read_owner

    path = Path(store)
    owner = read_owner(path)
    if owner is None:
        if not path.exists() and not lock_path(path).exists():
            msg = f"no store at {store!r}; give the path of a *.mmsubtype.zarr folder"
            raise StoreError(msg)
        typer.echo("no analysis holds this store: nothing to do")
        return
    question = (
        f"process {owner.pid} on the machine {owner.host!r} has held {store!r} since "
        f"{owner.started}. If it still runs there, the result will be spoilt. Has it "
        "ended?"
    )
    if not owner.is_gone and not yes and not typer.confirm(question):
        typer.echo("the store was left as it is")
        return
    break_lock(path, owner)
    typer.echo(f"freed: run the same request again to resume {store!r}")
