"""``napari-mmsubtype bundle``: the models at hand, checked, packed and imported."""

from __future__ import annotations

from typing import Annotated

import typer

bundle_app = typer.Typer(
    help="List, show, verify, pack and import models (bundles).",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Source = Annotated[
    str,
    typer.Argument(help="'demo', a name of `bundle list`, folder, zip or address."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@bundle_app.command("list")
def list_command(*, as_json: _Json = False) -> None:  # numpydoc ignore=PR01
    """List the models at hand: the demo and those of the library."""
    from napari_mmsubtype.cli.bundle_text import entries_text, entry_record
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.models.bundle_address import library_folder
    from napari_mmsubtype.models.bundle_library import list_bundles

    entries, folder = list_bundles(), library_folder()
    record = {"library": str(folder), "bundles": [entry_record(e) for e in entries]}
    typer.echo(to_json(record) if as_json else entries_text(entries, folder))


@bundle_app.command("show")
def show_command(  # numpydoc ignore=PR01
    source: _Source,
    *,
    card: Annotated[
        bool, typer.Option("--card", help="Print the model card alone.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show what a model is, what it takes, what it is worth and its terms."""
    from napari_mmsubtype.cli.bundle_text import details_text, plain_text
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.models.bundle_details import describe_bundle

    details = describe_bundle(source)
    if as_json:
        typer.echo(to_json(details.to_json()))
    else:
        typer.echo(plain_text([details.card]) if card else details_text(details))


@bundle_app.command("verify")
def verify_command(  # numpydoc ignore=PR01
    source: _Source,
    *,
    device: Annotated[
        str | None,
        typer.Option(help="Run the self-test there too: auto, cuda, cuda:N or mps."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Largest difference of a logit on that device."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Check files, hashes, schema, self-test and license of a model."""
    from dataclasses import asdict

    from napari_mmsubtype.cli.bundle_text import verification_text
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.inference.device import choose_processor
    from napari_mmsubtype.models.bundle_selftest import TOLERANCE
    from napari_mmsubtype.models.bundle_verify import verify_bundle

    found = verify_bundle(
        source,
        device=None if device is None else choose_processor(device).device,
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )
    typer.echo(to_json(asdict(found)) if as_json else verification_text(found))


@bundle_app.command("pack")
def pack_command(  # numpydoc ignore=PR01
    folder: Annotated[str, typer.Argument(help="Folder of a model, or its name.")],
    *,
    out: Annotated[
        str | None, typer.Option(help="The zip; default: NAME-VERSION.zip here.")
    ] = None,
) -> None:
    """Write the folder of a model as one zip; the same folder, the same bytes."""
    from napari_mmsubtype.models.bundle_files import sha256_file
    from napari_mmsubtype.models.bundle_pack import pack_bundle

    path = pack_bundle(folder, out)
    typer.echo(f"{path}\nsha256  {sha256_file(path)}")


@bundle_app.command("import")
def import_command(  # numpydoc ignore=PR01
    source: Annotated[
        str,
        typer.Argument(help="Folder, zip, https:// of a zip, or hf://org/name[@rev]."),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="Name in the library; default: its own.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of one of that name.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Take a model into the library, after all checks of `verify`."""
    from dataclasses import asdict

    from napari_mmsubtype.cli.bundle_text import imported_text
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.models.bundle_import import import_bundle

    done = import_bundle(
        source,
        name=name,
        replace=replace,
        tell=lambda sentence: typer.echo(sentence, err=True),
    )
    record = asdict(done) | {"path": str(done.path)}
    typer.echo(to_json(record) if as_json else imported_text(done))
