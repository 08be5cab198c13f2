"""Turn a command line into a run, and its outcome into an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import inspect
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from napari_mmsubtype import __version__
from napari_mmsubtype.cli.analyze import analyze_command
from napari_mmsubtype.cli.bundle import bundle_app
from napari_mmsubtype.cli.cam import cam_command
from napari_mmsubtype.cli.crossval import crossval_command
from napari_mmsubtype.cli.demo import demo_command
from napari_mmsubtype.cli.embed import embed_command
from napari_mmsubtype.cli.export import export_command
from napari_mmsubtype.cli.html import report_command
from napari_mmsubtype.cli.info import info_command
from napari_mmsubtype.cli.omics import omics_command
from napari_mmsubtype.cli.preset import preset_app
from napari_mmsubtype.cli.run import run_command
from napari_mmsubtype.cli.sanity import sanity_command
from napari_mmsubtype.cli.tissue import tissue_command
from napari_mmsubtype.cli.train import train_command
from napari_mmsubtype.cli.umap import umap_command
from napari_mmsubtype.cli.unlock import unlock_command
from napari_mmsubtype.core.option_words import Door, for_door
from napari_mmsubtype.core.triton_gate import install_gate
from napari_mmsubtype.errors import JobCancelled, MMSubtypeError

DONE = 0
INTERNAL_ERROR = 1
BAD_INPUT = 2
CANCELLED = 130
STOPPED = "stopped by the user"

# What a user can mend without a programmer: rights, a full or a read-only disk, a file
# where a folder is expected.
_USERS_FAULT = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EEXIST,
    getattr(errno, "EDQUOT", errno.ENOSPC),
}

app = typer.Typer(
    name="napari-mmsubtype",
    help="Classify one patient's cancer subtype from slide and omics. "
    "Research use only.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("analyze")(analyze_command)
app.command("cam")(cam_command)
app.command("export")(export_command)
app.command("info")(info_command)
app.command("tissue")(tissue_command)
app.command("omics")(omics_command)
app.command("report")(report_command)
app.command("sanity")(sanity_command)
app.command("umap")(umap_command)
app.command("run")(run_command)
app.command("demo")(demo_command)
app.command("embed")(embed_command)
app.command("crossval")(crossval_command)
app.command("train")(train_command)
app.command("unlock")(unlock_command)
app.add_typer(bundle_app, name="bundle")
app.add_typer(preset_app, name="preset")
_WITH_OUT = {
    command.name
    for command in app.registered_commands
    if command.callback is not None
    and "out" in inspect.signature(command.callback).parameters
}


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"napari-mmsubtype {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and debug messages.")
    ] = False,
) -> None:
    # `main` takes --debug wherever it stands; it is declared here for the help text.
    del version, debug


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; None takes those of this process.

    Returns
    -------
    int
        0 done, 2 bad input (one message on stderr), 3 slides that ``embed`` could not
        embed, 130 cancelled, 1 internal error.
    """
    if arguments is None:
        # A command is over with its files; Python would go through all objects first.
        atexit.register(gc.freeze)
        install_gate(always=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != "--debug"]
    debug = len(words) < len(given)
    _set_up_messages(debug=debug)
    # With nothing to do, the help is the answer and not a fault.
    return _outcome(words or ["--help"], debug=debug)


def _outcome(words: list[str], *, debug: bool) -> int:
    try:
        app(words, prog_name="napari-mmsubtype")
    except SystemExit as end:
        if end.code == CANCELLED:
            # So does typer end a command that Ctrl-C interrupts, without a word.
            return _fail(STOPPED, CANCELLED, debug=debug)
        return end.code if isinstance(end.code, int) else DONE
    except (JobCancelled, KeyboardInterrupt) as err:
        return _fail(str(err) or STOPPED, CANCELLED, debug=debug)
    except MMSubtypeError as err:
        door = Door.RECIPE if words[0] == "run" else Door.COMMAND
        return _fail(for_door(_with_notes(err), door), BAD_INPUT, debug=debug)
    except OSError as err:
        if err.errno in _USERS_FAULT:
            return _fail(_about_disk(err, words[0]), BAD_INPUT, debug=debug)
        return _internal(err, debug=debug)
    except MemoryError as err:
        message = (
            f"memory ran out ({str(err) or 'MemoryError'}); close other programs; what "
            "was done is kept, and the same command resumes there"
        )
        return _fail(message, BAD_INPUT, debug=debug)
    except Exception as err:  # noqa: BLE001 - the outermost edge: nothing may pass
        return _internal(err, debug=debug)
    return DONE


def _about_disk(err: OSError, command: str) -> str:
    if _is_of_output(err):
        return (
            f"standard output could not be written: {err.strerror}; what was done is "
            "kept: free space there or send it elsewhere, and give the same command "
            "again"
        )
    place = f"use {str(err.filename)!r}" if err.filename else "read or write"
    advice = "mend its rights or free space there"
    if err.errno in {errno.ENOTDIR, errno.EEXIST}:
        advice = "a file lies where a folder is expected: move it away"
    if command in _WITH_OUT:
        advice += ", or give another folder with --out"
    return f"cannot {place}: {err.strerror}; {advice}"


def _is_of_output(err: OSError) -> bool:
    """Say whether it was the outcome itself that could not be written."""
    frames = [frame for frame, _ in traceback.walk_tb(err.__traceback__)]
    return any(frame.f_code is typer.echo.__code__ for frame in frames)


def _internal(err: Exception, *, debug: bool) -> int:
    kind, text = type(err).__name__, str(err).partition("\n")[0]
    message = f"internal error: {kind}: {text} (add --debug for the traceback)"
    return _fail(message, INTERNAL_ERROR, debug=debug)


def _fail(message: str, code: int, *, debug: bool) -> int:
    word = "cancelled" if code == CANCELLED else "error"
    # Where it cannot be written, the code still tells.
    with suppress(OSError):
        if debug:
            traceback.print_exc(file=sys.stderr)
        print(f"{word}: {message}", file=sys.stderr)
    return code


def _with_notes(err: BaseException) -> str:
    """Join a message with what was noted about it, for example backends tried."""
    return "\n  ".join([str(err), *getattr(err, "__notes__", [])])


def _set_up_messages(*, debug: bool) -> None:
    """Send warnings and log records to stderr, one line each."""
    warnings.showwarning = _print_warning
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if debug:
        logging.getLogger("napari_mmsubtype").setLevel(logging.DEBUG)
    # Tables and probabilities hold names in any script; a pipe may be set to ASCII.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    # Pictures are written to files; a backend that is not there would end the work.
    os.environ["MPLBACKEND"] = "Agg"


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    text = " ".join(str(message).split())
    # As with progress: no work ends because it cannot be told of.
    with suppress(OSError):
        print(f"warning: {text}", file=sys.stderr)
