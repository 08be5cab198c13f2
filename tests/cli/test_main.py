import errno
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.main import get_command

from napari_mmsubtype import __version__
from napari_mmsubtype.cli import main as main_module
from napari_mmsubtype.cli.main import BAD_INPUT, CANCELLED, DONE, INTERNAL_ERROR, main
from napari_mmsubtype.errors import JobCancelled, SlideOpenError, TableReadError


@pytest.fixture
def app_raising(monkeypatch):
    """Make whatever command is given end with an exception."""

    def use(error):
        def app(*_args, **_kwargs):
            raise error

        monkeypatch.setattr(main_module, "app", app)

    return use


@pytest.fixture(autouse=True)
def _warnings_as_before(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)


def test_without_arguments_the_help_is_shown(capsys):
    assert main([]) == DONE
    shown = capsys.readouterr().out
    for command in ("analyze", "info", "run", "demo"):
        assert command in shown


@pytest.mark.parametrize("command", ["analyze", "info", "run", "demo"])
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == DONE
    assert "--json" in capsys.readouterr().out


def test_every_option_has_a_word_in_the_documentation():
    top = Path(__file__).parents[2]
    pages = [top / "README.md", *(top / "docs").glob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    told = set(re.findall(r"--[a-z][\w-]+", text))
    commands = dict(get_command(main_module.app).commands)
    for group in ("bundle", "preset"):
        commands |= commands.pop(group).commands
    for name, command in commands.items():
        given = {word for option in command.params for word in option.opts}
        named = {word for word in given if word.startswith("--")}
        assert named <= told, (name, named - told)


def test_version(capsys):
    assert main(["--version"]) == DONE
    assert capsys.readouterr().out.strip() == f"napari-mmsubtype {__version__}"


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["analyze"],
        ["analyze", "a.svs", "--nonsense"],
        ["analyze", "a.svs", "--mpp", "half"],
    ],
)
def test_usage_errors_are_bad_input(words, capsys):
    assert main(words) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err


def test_bad_request_gives_one_line_and_no_traceback(capsys):
    assert main(["analyze", "a.svs", "--rna", "t.csv"]) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "patient" in captured.err
    assert captured.err.count("\n") == 1


def test_what_was_tried_is_listed_under_the_message(app_raising, capsys):
    error = SlideOpenError("no backend can open 'a.svs'")
    error.add_note("tifffile: not a TIFF file")
    app_raising(error)
    assert main(["info", "a.svs"]) == BAD_INPUT
    assert capsys.readouterr().err == (
        "error: no backend can open 'a.svs'\n  tifffile: not a TIFF file\n"
    )


@pytest.mark.parametrize("error", [JobCancelled("stopped"), KeyboardInterrupt()])
def test_cancelling_is_130(error, app_raising, capsys):
    app_raising(error)
    assert main(["demo"]) == CANCELLED
    assert capsys.readouterr().err.startswith("cancelled: stopped")


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("analyze", "odd values; give --rna-unit 'tpm'"),
        ("run", "odd values; write rna_unit: 'tpm' into the recipe"),
    ],
)
def test_advice_names_the_option_of_the_command(command, advice, app_raising, capsys):
    app_raising(TableReadError("odd values; pass rna_unit='tpm'"))
    assert main([command, "x"]) == BAD_INPUT
    assert capsys.readouterr().err == f"error: {advice}\n"


def test_a_full_disk_is_the_users_to_mend(app_raising, capsys):
    app_raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/x"))
    assert main(["demo"]) == BAD_INPUT
    message = capsys.readouterr().err
    assert "'/out/x'" in message
    assert os.strerror(errno.ENOSPC) in message


@pytest.mark.parametrize("code", [errno.ENOTDIR, errno.EEXIST])
def test_a_file_where_a_folder_is_expected_is_the_users_to_mend(
    code, app_raising, capsys
):
    app_raising(OSError(code, os.strerror(code), "/etc/passwd"))
    assert main(["demo"]) == BAD_INPUT
    assert "'/etc/passwd'" in (message := capsys.readouterr().err)
    assert "a folder is expected" in message
    assert "--out" in message


def test_a_command_without_a_folder_of_its_own_names_none(app_raising, capsys):
    app_raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/x"))
    assert main(["umap", "x"]) == BAD_INPUT
    assert "--out" not in capsys.readouterr().err


def test_a_lack_of_memory_is_no_internal_error(app_raising, capsys):
    app_raising(MemoryError("Unable to allocate 9 GiB"))
    assert main(["analyze", "x"]) == BAD_INPUT
    assert capsys.readouterr().err.startswith("error: memory ran out (Unable to all")


def test_an_interrupt_before_the_job_is_told_too(monkeypatch, capsys):
    def interrupted(_words):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_mmsubtype.cli.analyze.AnalyzeRecipe", interrupted)
    monkeypatch.setattr("napari_mmsubtype.cli.run.read_recipe", interrupted)
    assert main(["run", "x.yaml"]) == CANCELLED
    assert capsys.readouterr().err == "cancelled: stopped by the user\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_streams_that_are_full_are_told_as_such(tmp_path):
    words = [sys.executable, "-m", "napari_mmsubtype", "info", "synthetic:size=256"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*words, "--json"], stdout=full, stderr=subprocess.PIPE, text=True
        )
        unheard = subprocess.run([*words[:-1], "none.svs"], stderr=full)
    assert done.returncode == BAD_INPUT
    assert done.stderr.startswith("error: standard output could not be written: No sp")
    assert done.stderr.count("\n") == 1
    assert unheard.returncode == BAD_INPUT


def test_pictures_need_no_backend_of_the_user(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    assert main(["--version"]) == DONE
    assert os.environ["MPLBACKEND"] == "Agg"


@pytest.mark.parametrize("error", [ZeroDivisionError("boom\nmore"), OSError("odd")])
def test_internal_errors_say_how_to_learn_more(error, app_raising, capsys):
    app_raising(error)
    assert main(["demo"]) == INTERNAL_ERROR
    message = capsys.readouterr().err
    assert message.startswith(f"error: internal error: {type(error).__name__}: ")
    assert "--debug" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "demo"], ["demo", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(words, app_raising, capsys):
    app_raising(ZeroDivisionError("boom"))
    assert main(words) == INTERNAL_ERROR
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_warnings_are_one_line_on_stderr(monkeypatch, capsys):
    def app(*_args, **_kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the pixel size\n is odd", UserWarning, stacklevel=1)

    monkeypatch.setattr(main_module, "app", app)
    # catch_warnings restores showwarning only on leaving, so ours is in place.
    assert main(["info", "a.svs"]) == DONE
    captured = capsys.readouterr()
    assert captured.err == "warning: the pixel size is odd\n"
    assert captured.out == ""


def test_help_loads_no_heavy_library():
    script = (
        "import json, sys\n"
        "from napari_mmsubtype.cli.main import main\n"
        "main(['analyze', '--help'])\n"
        "heavy = ('torch', 'napari', 'zarr', 'pandas', 'qtpy', 'openslide')\n"
        "sys.stderr.write(json.dumps([m for m in heavy if m in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stderr) == []


def test_a_process_ends_without_going_through_all_objects():
    script = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: sys.stdout.write(str(gc.get_freeze_count() > 1000)))\n"
        "from napari_mmsubtype.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "unlock"], capture_output=True, text=True
    )
    assert done.stdout.endswith("True"), done.stderr


def test_the_real_process_returns_the_code():
    script = "import sys; from napari_mmsubtype.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "/does/not/exist.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == BAD_INPUT
    assert done.stdout == ""
    assert "/does/not/exist.yaml" in done.stderr
