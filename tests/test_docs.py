"""The pages tell the truth: every Python block runs, every printed block is what was printed, every name has a page."""

import re
import subprocess

import pytest
from pages import PAGES, ROOT, alike, run, runs_python

import karush
import karush.cli


@pytest.mark.user_style
@pytest.mark.parametrize("page", [page for page in PAGES if runs_python(page)], ids=lambda page: page.stem)
def test_every_python_block_runs_and_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block, printed in run(page):
        assert alike(block.text, printed), (
            f"{page.name}, line {block.line} shows\n{block.text}\nbut the page prints\n{printed}\n"
            "If the new text is right: make printed"
        )


def test_a_changed_word_or_answer_is_seen_and_a_changed_residual_is_not():
    shown = "value 41.066\n  stationarity  4.7e-12 <= 1e-08  ok  at radius\n  effort 7 iterations, 0.02 s"
    assert alike(shown, shown.replace("4.7e-12", "0").replace("radius", "height").replace("7 iter", "8 iter"))
    assert not alike(shown, shown.replace("41.066", "41.166"))
    assert not alike(shown, shown.replace("ok", "FAILS"))


@pytest.mark.parametrize("name", sorted(karush.__all__))
def test_every_public_name_has_an_entry_in_the_reference(name):
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: karush\.{re.escape(name)}$", reference, re.MULTILINE) or f"`{name}`" in reference, (
        f"docs/api.md has no entry for karush.{name}; add '::: karush.{name}'"
    )


def test_the_reference_names_nothing_that_does_not_exist():
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for entry in re.findall(r"^::: karush\.([\w.]+)$", reference, re.MULTILINE):
        target = karush
        for part in entry.split("."):
            assert hasattr(target, part), f"docs/api.md: karush.{entry} does not exist"
            target = getattr(target, part)


def test_every_command_is_on_the_page_of_the_command_line():
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    commands = [name for name in karush.cli.app if not name.startswith("-")]
    assert commands
    missing = [name for name in commands if f"karush {name}" not in page]
    assert not missing, f"docs/command_line.md does not mention {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_reference_key_resolves_in_the_page_of_algorithms(page):
    keys = re.compile(r"\[([A-Z][A-Za-z]+\d{2})\](?!\()")
    known = set(keys.findall((ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")))
    used = set(keys.findall(page.read_text(encoding="utf-8")))
    assert used <= known, f"{page.name} cites {sorted(used - known)}, which docs/algorithms.md does not list"


def test_every_reference_key_in_the_code_resolves_in_the_page_of_algorithms():
    keys = re.compile(r"\[([A-Z][A-Za-z]+\d{2})\]")
    known = set(keys.findall((ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")))
    for path in sorted((ROOT / "src").rglob("*.py")):
        used = set(keys.findall(path.read_text(encoding="utf-8")))
        assert used <= known, f"{path.relative_to(ROOT)} cites {sorted(used - known)}; add it to docs/algorithms.md"


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_front_pages_lead_to_files(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), f"{path} links to {target}, which does not exist"


def test_the_version_is_the_same_everywhere():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"version: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert karush.__version__ == version[1]


MACHINE = re.compile(rb"/(?:work|tmp|home|Users|root)/\w|site[-]packages")
"""what an absolute path of some machine looks like"""


def test_no_file_of_the_repository_names_a_path_of_the_machine_it_was_written_on():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(paths) > len(PAGES)
    wrong = []
    for path in paths:
        found = MACHINE.search(path.read_bytes()) if path.is_file() and path.suffix != ".png" else None
        if found:
            wrong.append(f"{path.relative_to(ROOT)}: {found[0].decode()}")
    assert not wrong, f"{wrong}; benchmarks write texts through benchmarks.paths.portable"
