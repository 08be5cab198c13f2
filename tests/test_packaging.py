"""Build and install the package in every way a user may, without the network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TOP = Path(__file__).resolve().parents[1]
MANIFEST = "napari_mmsubtype/napari.yaml"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".nox", ".venv", "*_cache", "__pycache__", "build", "dist", "demo_out"
)


def run(*words, cwd=None):
    """Run a program without this test's import path; show what it said on failure."""
    hidden = {"PYTHONPATH", "PIP_REQUIRE_VIRTUALENV"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Copy the tree, so that no build leaves its traces in it."""
    folder = tmp_path_factory.mktemp("source") / "napari-mmsubtype"
    shutil.copytree(TOP, folder, ignore=LEFT_OUT, symlinks=True)
    (folder / "src" / MANIFEST).unlink(missing_ok=True)
    return folder


def build(kind, source, out):
    module = [sys.executable, "-m", "build", "--no-isolation"]
    run(*module, f"--{kind}", "--outdir", out, source)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    return build("sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel_of_sdist(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel_of_sdist"))


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_wheel_holds_manifest_types_marker_and_demo_bundle(wheel):
    names = contents(wheel)
    assert names.count(MANIFEST) == 1
    assert "napari_mmsubtype/py.typed" in names
    assert "napari_mmsubtype/bundles/demo/bundle.json" in names
    assert "napari_mmsubtype/bundles/demo/weights.safetensors" in names


def test_wheel_holds_every_preset(wheel):
    presets = sorted((TOP / "src" / "napari_mmsubtype" / "presets").glob("*.yaml"))
    assert len(presets) == 4
    wanted = {f"napari_mmsubtype/presets/{path.name}" for path in presets}
    assert wanted <= set(contents(wheel))


def test_wheel_holds_the_templates_of_the_report(wheel):
    folder = TOP / "src" / "napari_mmsubtype" / "results" / "templates"
    wanted = {f"napari_mmsubtype/results/templates/{p.name}" for p in folder.iterdir()}
    assert "napari_mmsubtype/results/templates/report.html.j2" in wanted
    assert wanted <= set(contents(wheel))


def test_wheel_holds_every_module_and_nothing_of_the_house(wheel):
    names = contents(wheel)
    package = TOP / "src" / "napari_mmsubtype"
    for path in package.rglob("*.py"):
        assert f"napari_mmsubtype/{path.relative_to(package).as_posix()}" in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "napari_mmsubtype"
    }
    assert not [name for name in names if "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_manifest_of_the_wheel_is_that_of_the_top(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(MANIFEST) == (TOP / "napari.yaml").read_bytes()


def test_wheel_of_the_sdist_holds_the_same(wheel, wheel_of_sdist):
    assert contents(wheel_of_sdist) == contents(wheel)
    assert contents(wheel_of_sdist).count(MANIFEST) == 1


def test_wheel_fits_the_demo_bundle_budget(wheel):
    with zipfile.ZipFile(wheel) as archive:
        size = sum(
            entry.file_size
            for entry in archive.infolist()
            if entry.filename.startswith("napari_mmsubtype/bundles/demo/")
        )
    assert 0 < size <= 8 * 2**20


def make_environment(folder):
    """Make an environment that sees this one's libraries but has packages of its own.

    A `.pth` line adds a folder without reading the `.pth` files in it, so that an
    editable install of this package in the outer environment stays unseen on the
    import path; its own folder comes first.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    own = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        ).strip()
    )
    outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (own / "outer.pth").write_text("\n".join(outer) + "\n")
    return python, own


def installed_manifest(python):
    """Ask npe2 as its own command line does, in a process of its own."""
    listed = run(
        python,
        "-W",
        "ignore",
        "-m",
        "npe2",
        "list",
        "--fields",
        "name,version",
        "--format",
        "json",
    )
    script = (
        "import napari_mmsubtype, pathlib, json;"
        "folder = pathlib.Path(napari_mmsubtype.__file__).parent;"
        "print(json.dumps([str(folder), (folder / 'napari.yaml').read_text('utf-8')]))"
    )
    folder, text = json.loads(run(python, "-c", script))
    return [entry["name"] for entry in json.loads(listed)], Path(folder), text


def install(python, *words):
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--force-reinstall"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *words)


def check_install(python):
    names, folder, text = installed_manifest(python)
    assert "napari-mmsubtype" in names
    assert text == (TOP / "napari.yaml").read_text("utf-8")
    return folder


@pytest.mark.parametrize("kind", ["wheel", "wheel_of_sdist"])
def test_npe2_lists_the_plugin_of_a_wheel(kind, request, tmp_path):
    python, own = make_environment(tmp_path / "env")
    install(python, request.getfixturevalue(kind))
    assert check_install(python) == own / "napari_mmsubtype"


def test_npe2_lists_the_plugin_of_an_editable_install(source, tmp_path):
    folder = tmp_path / "napari-mmsubtype"
    shutil.copytree(source, folder, symlinks=True)
    python, _ = make_environment(tmp_path / "env")
    install(python, "-e", folder)
    assert check_install(python) == folder / "src" / "napari_mmsubtype"


def test_command_is_installed(wheel, tmp_path):
    python, _ = make_environment(tmp_path / "env")
    install(python, wheel)
    script = python.parent / ("napari-mmsubtype" + (".exe" if os.name == "nt" else ""))
    assert "analyze" in run(script, "--help")
